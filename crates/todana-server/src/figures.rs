//! `stats`: the figures that memcached's users know, and some of our own. Where a figure has no
//! counterpart here it is left at what it would be in a memcached that does without.

use crate::context::{Context, VERSION};
use crate::settings::Address;
use std::sync::atomic::Ordering;
use todana_protocol::memcached::Protocol;

/// Names and values, in order.
pub(crate) type Figures = Vec<(String, String)>;

fn add(figures: &mut Figures, name: &str, value: impl ToString) {
    figures.push((name.to_owned(), value.to_string()));
}

/// `stats`.
pub(crate) fn general(context: &Context) -> Figures {
    let now = context.now();
    let engine = context.engine_statistics();
    let sums = context.sums();
    let table = &context.connections;
    let (user, system) = cpu_seconds();
    let mut figures = Figures::new();
    let f = &mut figures;
    add(f, "pid", std::process::id());
    add(f, "uptime", now.seconds().saturating_sub(context.started.seconds()));
    add(f, "time", now.seconds());
    add(f, "version", VERSION);
    add(f, "todana_version", env!("CARGO_PKG_VERSION"));
    add(f, "store", context.engine.name());
    add(f, "pointer_size", usize::BITS);
    add(f, "rusage_user", user);
    add(f, "rusage_system", system);
    add(f, "max_connections", context.settings.connections_max);
    add(f, "curr_connections", table.open.load(Ordering::Relaxed));
    add(f, "total_connections", table.total.load(Ordering::Relaxed));
    add(f, "rejected_connections", table.rejected.load(Ordering::Relaxed));
    add(f, "connection_structures", table.open.load(Ordering::Relaxed));
    add(f, "cmd_get", sums.cmd_get);
    add(f, "cmd_set", sums.cmd_set);
    add(f, "cmd_flush", sums.cmd_flush);
    add(f, "cmd_touch", sums.cmd_touch);
    add(f, "cmd_meta", sums.cmd_meta);
    add(f, "get_hits", sums.get_hits);
    add(f, "get_misses", sums.get_misses);
    add(f, "get_expired", sums.get_expired);
    add(f, "get_flushed", 0);
    add(f, "delete_misses", sums.delete_misses);
    add(f, "delete_hits", sums.delete_hits);
    add(f, "incr_misses", sums.incr_misses);
    add(f, "incr_hits", sums.incr_hits);
    add(f, "decr_misses", sums.decr_misses);
    add(f, "decr_hits", sums.decr_hits);
    add(f, "cas_misses", sums.cas_misses);
    add(f, "cas_hits", sums.cas_hits);
    add(f, "cas_badval", sums.cas_badval);
    add(f, "touch_hits", sums.touch_hits);
    add(f, "touch_misses", sums.touch_misses);
    add(f, "store_too_large", sums.store_too_large);
    add(f, "store_no_memory", sums.store_no_memory);
    add(f, "auth_cmds", sums.auth_cmds);
    add(f, "auth_errors", sums.auth_errors);
    add(f, "bytes_read", sums.bytes_read);
    add(f, "bytes_written", sums.bytes_written);
    add(f, "limit_maxbytes", engine.memory_limit_bytes);
    add(f, "accepting_conns", u8::from(table.accepting.load(Ordering::Relaxed)));
    add(f, "listen_disabled_num", table.disabled_count.load(Ordering::Relaxed));
    add(f, "time_in_listen_disabled_us", table.disabled_us.load(Ordering::Relaxed));
    add(f, "threads", context.settings.threads);
    add(f, "conn_yields", sums.conn_yields);
    add(f, "idle_kicks", sums.idle_kicks);
    add(f, "hash_power_level", engine.index_buckets.max(1).ilog2());
    add(f, "hash_bytes", engine.index_bytes);
    add(f, "hash_is_expanding", 0);
    add(f, "slab_reassign_running", 0);
    add(f, "slabs_moved", engine.segments_reclaimed);
    add(f, "lru_crawler_running", 0);
    add(f, "malloc_fails", engine.out_of_memory);
    add(f, "log_worker_dropped", 0);
    add(f, "log_worker_written", context.watch.sent.load(Ordering::Relaxed));
    add(f, "log_watcher_skipped", context.watch.skipped.load(Ordering::Relaxed));
    add(f, "log_watcher_sent", context.watch.sent.load(Ordering::Relaxed));
    add(f, "log_watchers", context.watch.count());
    add(f, "bytes", engine.live_bytes);
    add(f, "memory_bytes", engine.memory_bytes);
    add(f, "curr_items", engine.records);
    add(f, "total_items", engine.records_stored);
    add(f, "slab_global_page_pool", 0);
    add(f, "expired_unfetched", engine.expired_unfetched);
    add(f, "evicted_unfetched", engine.evicted_unfetched);
    add(f, "evicted_active", engine.evicted_active);
    add(f, "evictions", engine.evictions);
    add(f, "reclaimed", engine.expired);
    add(f, "crawler_reclaimed", engine.expired);
    add(f, "records_moved", engine.records_moved);
    add(f, "output_paused", sums.output_paused);
    add(f, "output_dropped", sums.output_dropped);
    add(f, "lines_too_long", sums.lines_too_long);
    add(f, "keys_too_long", sums.keys_too_long);
    add(f, "read_calls", sums.reads);
    add(f, "write_calls", sums.writes);
    add(f, "cycles", sums.cycles);
    add(f, "datagrams", sums.datagrams);
    add(f, "datagrams_lost", sums.datagrams_lost);
    figures
}

/// Processor seconds of the process, as `seconds.microseconds`.
fn cpu_seconds() -> (String, String) {
    use nix::sys::resource::{UsageWho, getrusage};
    match getrusage(UsageWho::RUSAGE_SELF) {
        Ok(usage) => {
            let text =
                |time: nix::sys::time::TimeVal| format!("{}.{:06}", time.tv_sec(), time.tv_usec());
            (text(usage.user_time()), text(usage.system_time()))
        }
        Err(_) => ("0.000000".into(), "0.000000".into()),
    }
}

/// `stats settings`.
pub(crate) fn settings(context: &Context) -> Figures {
    let settings = &context.settings;
    let engine = context.engine.statistics(context.now());
    let port = |udp: bool| {
        settings.listen.iter().find_map(|listen| match &listen.address {
            Address::Tcp(address) if !udp => Some(address.port()),
            Address::Udp(address) if udp => Some(address.port()),
            _ => None,
        })
    };
    let unix = settings.listen.iter().find_map(|listen| match &listen.address {
        Address::Unix(path, mode) => Some((path.display().to_string(), *mode)),
        _ => None,
    });
    let interfaces: Vec<String> = settings
        .listen
        .iter()
        .filter_map(|listen| match &listen.address {
            Address::Tcp(address) => Some(address.ip().to_string()),
            _ => None,
        })
        .collect();
    let protocol = match settings.listen.first().map(|listen| listen.protocol) {
        _ if settings.sasl => "binary",
        _ if settings.auth_file.is_some() => "ascii",
        Some(Protocol::Text) => "ascii",
        Some(Protocol::Binary) => "binary",
        _ => "auto-negotiate",
    };
    let yes_no = |on: bool| if on { "yes" } else { "no" };
    let mut figures = Figures::new();
    let f = &mut figures;
    add(f, "maxbytes", engine.memory_limit_bytes);
    add(f, "maxconns", settings.connections_max);
    add(f, "tcpport", port(false).unwrap_or(0));
    add(f, "udpport", port(true).unwrap_or(0));
    add(f, "inter", if interfaces.is_empty() { "NULL".into() } else { interfaces.join(",") });
    add(f, "verbosity", context.verbosity.load(Ordering::Relaxed));
    add(f, "oldest", 0);
    add(f, "evictions", if settings_evicts(context) { "on" } else { "off" });
    add(f, "domain_socket", unix.as_ref().map_or("NULL", |(path, _)| path));
    add(f, "umask", format!("{:o}", unix.as_ref().map_or(0o700, |(_, mode)| *mode)));
    add(f, "growth_factor", "1.25");
    add(f, "chunk_size", 48);
    add(f, "num_threads", settings.threads);
    add(f, "io", settings.io.name());
    add(f, "stat_key_prefix", char::from(settings.prefix_delimiter));
    add(f, "detail_enabled", yes_no(context.prefixes.is_enabled()));
    add(f, "reqs_per_event", settings.requests_per_turn);
    add(f, "cas_enabled", yes_no(context.engine.limits().versions));
    add(f, "tcp_backlog", settings.backlog);
    add(f, "binding_protocol", protocol);
    add(f, "auth_enabled_sasl", yes_no(settings.sasl));
    let auth_file = settings.auth_file.as_ref().map(|path| path.display().to_string());
    add(f, "auth_enabled_ascii", auth_file.unwrap_or_else(|| "no".into()));
    add(f, "item_size_max", settings.value_len_max);
    add(f, "maxconns_fast", yes_no(settings.refuse_at_once));
    add(f, "hashpower_init", 0);
    add(f, "slab_reassign", "yes");
    add(f, "slab_automove", 1);
    add(f, "lru_crawler", "yes");
    add(f, "hash_algorithm", "xxh3");
    add(f, "lru_maintainer_thread", "yes");
    add(f, "lru_segmented", "yes");
    add(f, "idle_timeout", settings.idle_ms / 1_000);
    add(f, "watcher_logbuf_size", crate::limits::WATCH_QUEUE_LEN);
    add(f, "worker_logbuf_size", 0);
    add(f, "track_sizes", "yes");
    add(f, "inline_ascii_response", "no");
    add(f, "drop_privileges", "no");
    add(f, "shutdown_command", yes_no(settings.shutdown_enabled));
    add(f, "flush_enabled", yes_no(settings.flush_enabled));
    add(f, "dump_enabled", yes_no(settings.dump_enabled));
    add(f, "watch_enabled", yes_no(settings.watch_enabled));
    add(f, "tcp_nodelay", yes_no(settings.no_delay));
    add(f, "send_buffer", settings.send_buffer_len);
    add(f, "receive_buffer", settings.receive_buffer_len);
    add(f, "store", context.engine.name());
    figures
}

fn settings_evicts(context: &Context) -> bool {
    context.engine.limits().evicts
}

/// `stats items`.
pub(crate) fn items(context: &Context) -> Figures {
    let mut figures = Figures::new();
    for class in context.engine.statistics(context.now()).classes {
        let mut put = |name: &str, value: u64| {
            figures.push((format!("items:{}:{name}", class.class), value.to_string()));
        };
        put("number", class.records);
        put("number_hot", 0);
        put("number_warm", 0);
        put("number_cold", class.records);
        put("age_hot", 0);
        put("age_warm", 0);
        put("age", class.age_s);
        put("mem_requested", class.live_bytes);
        put("evicted", class.evictions);
        put("evicted_nonzero", class.evicted_with_expiry);
        put("evicted_time", class.evicted_idle_s);
        put("outofmemory", class.out_of_memory);
        put("tailrepairs", 0);
        put("reclaimed", class.expired);
        put("expired_unfetched", class.expired_unfetched);
        put("evicted_unfetched", class.evicted_unfetched);
        put("evicted_active", 0);
        put("crawler_reclaimed", class.expired);
        put("crawler_items_checked", 0);
        put("lrutail_reflocked", 0);
        put("moves_to_cold", 0);
        put("moves_to_warm", 0);
        put("moves_within_lru", 0);
        put("direct_reclaims", 0);
    }
    figures
}

/// `stats slabs`: a class is a kind of segment, a page a segment, a chunk a record.
pub(crate) fn slabs(context: &Context) -> Figures {
    let statistics = context.engine.statistics(context.now());
    let sums = context.sums();
    let mut figures = Figures::new();
    for (at, class) in statistics.classes.iter().enumerate() {
        // Requests are not counted by class: the first shows them all.
        let count = |count: u64| if at == 0 { count } else { 0 };
        let mut put = |name: &str, value: u64| {
            figures.push((format!("{}:{name}", class.class), value.to_string()));
        };
        put("chunk_size", class.record_len_max);
        put("chunks_per_page", class.records.checked_div(class.segments).unwrap_or(0));
        put("total_pages", class.segments);
        put("total_chunks", class.records);
        put("used_chunks", class.records);
        put("free_chunks", 0);
        put("free_chunks_end", 0);
        put("get_hits", count(sums.get_hits));
        put("cmd_set", count(sums.cmd_set));
        put("delete_hits", count(sums.delete_hits));
        put("incr_hits", count(sums.incr_hits));
        put("decr_hits", count(sums.decr_hits));
        put("cas_hits", count(sums.cas_hits));
        put("cas_badval", count(sums.cas_badval));
        put("touch_hits", count(sums.touch_hits));
        put("mem_requested", class.live_bytes);
    }
    add(&mut figures, "active_slabs", statistics.classes.len());
    add(&mut figures, "total_malloced", statistics.memory_bytes);
    figures
}

/// `stats conns`.
pub(crate) fn connections(context: &Context) -> Figures {
    let now_s = context.now().seconds();
    let mut figures = Figures::new();
    for (number, listener) in context.connections.listeners.lock().iter().enumerate() {
        add(&mut figures, &format!("listen{number}:addr"), listener);
        add(&mut figures, &format!("listen{number}:state"), "conn_listening");
    }
    for (id, info) in context.connections.infos.lock().iter() {
        let idle_s = now_s.saturating_sub(info.last_command_s.load(Ordering::Relaxed));
        add(&mut figures, &format!("{id}:addr"), info);
        add(&mut figures, &format!("{id}:listen_addr"), &info.listener);
        add(&mut figures, &format!("{id}:state"), "conn_waiting");
        add(&mut figures, &format!("{id}:secs_since_last_cmd"), idle_s);
    }
    figures
}
