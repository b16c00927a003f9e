"""Uses a memcached-compatible server the way applications do, through pymemcache.

Prints `ok NAME` or `FAILED NAME: WHY` for each check and a count at the end; the exit status is 1
when one failed. The server is FLUSHED. Every check begins with an empty server and closed clients.

    python pymemcache_check.py --address 127.0.0.1:11211 [--value-max-bytes N] [NAME...]
    python pymemcache_check.py --address /run/server.sock
"""

import argparse
import socket
import sys
import threading
import time
import traceback

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheIllegalInputError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
)

CHECKS = []
ANSWER_TIME_MAX_S = 10.0
# Expiry is in whole seconds and may come up to a second late or early.
SHORT_S = 1
PAST_SHORT_S = 2.2


def check(function):
    CHECKS.append(function)
    return function


def equal(found, expected, what="answer"):
    if found != expected:
        raise AssertionError(f"{what}: found {shorten(found)}, expected {shorten(expected)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"


def raises(kind, words, function, *args, **options):
    try:
        found = function(*args, **options)
    except kind as error:
        if words.encode() not in str(error).encode():
            raise AssertionError(f"{kind.__name__} says {shorten(str(error))}, not {words!r}")
        return
    raise AssertionError(f"no {kind.__name__} but {shorten(found)}")


class Env:
    """A server's address and the limit on its values; makes clients and closes them."""

    def __init__(self, address, value_max):
        self.value_max = value_max
        self.clients = []
        if "/" in address:
            self.server = address
        else:
            host, port = address.rsplit(":", 1)
            self.server = (host, int(port))

    def client(self, kind=Client, **options):
        options.setdefault("default_noreply", False)
        options.setdefault("timeout", ANSWER_TIME_MAX_S)
        options.setdefault("connect_timeout", ANSWER_TIME_MAX_S)
        server = [self.server] if kind is HashClient else self.server
        client = kind(server, **options)
        self.clients.append(client)
        return client

    def raw(self):
        """A socket with a file to read lines from."""
        unix = isinstance(self.server, str)
        sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        sock.settimeout(ANSWER_TIME_MAX_S)
        sock.connect(self.server)
        return sock, sock.makefile("rb")

    def close(self):
        for client in self.clients:
            client.close()
        self.clients.clear()


# --- storing and fetching ---


@check
def set_and_get(env):
    c = env.client()
    equal(c.get("k"), None)
    equal(c.get("k", default="none"), "none")
    equal(c.set("k", "value"), True)
    equal(c.get("k"), b"value")
    equal(c.set("k", "other"), True)
    equal(c.get("k"), b"other")


@check
def values_are_bytes(env):
    c = env.client()
    for value in (b"", b"\r\n", b"END\r\n", b"VALUE k 0 1\r\n", bytes(range(256)), b"\0" * 4096):
        equal(c.set("k", value), True)
        equal(c.get("k"), value)


@check
def longest_key(env):
    c = env.client()
    key = "k" * 250
    equal(c.set(key, "v"), True)
    equal(c.get(key), b"v")
    equal(c.get_many([key, "x"]), {key: b"v"})
    raises(MemcacheIllegalInputError, "too long", c.set, "k" * 251, "v")


@check
def illegal_keys_are_refused_by_the_client(env):
    c = env.client()
    for key in ("köttbullar", "a b", "a\r\nb", "a\0b"):
        raises(MemcacheIllegalInputError, "", c.set, key, "v")
        raises(MemcacheIllegalInputError, "", c.get, key)
    equal(c.get("k"), None, "the connection afterwards")


@check
def unicode_keys_when_allowed(env):
    c = env.client(allow_unicode_keys=True)
    equal(c.set("köttbullar", "v"), True)
    equal(c.get("köttbullar"), b"v")
    equal(c.delete("köttbullar"), True)


@check
def key_prefix(env):
    c, plain = env.client(key_prefix=b"app:"), env.client()
    equal(c.set("k", "v"), True)
    equal(plain.get("app:k"), b"v")
    equal(c.get_many(["k", "l"]), {"k": b"v"})


@check
def flags(env):
    c = env.client()
    for flag in (0, 1, 65535, 2**31, 2**32 - 1):
        equal(c.set("k", "v", flags=flag), True)
        header = c.raw_command("get k", b"END\r\n").split(b"\r\n")[0]
        equal(header, b"VALUE k %d 1" % flag)
    raises(MemcacheClientError, "bad command line format", c.raw_command, "set k x 0 1\r\nv")


@check
def add_and_replace(env):
    c = env.client()
    equal(c.replace("k", "v"), False)
    equal(c.add("k", "v"), True)
    equal(c.add("k", "w"), False)
    equal(c.get("k"), b"v")
    equal(c.replace("k", "x"), True)
    equal(c.get("k"), b"x")


@check
def append_and_prepend(env):
    c = env.client()
    equal(c.append("k", "v"), False)
    equal(c.prepend("k", "v"), False)
    equal(c.set("k", "mid", flags=7), True)
    equal(c.append("k", "-end", flags=9), True)
    equal(c.prepend("k", "start-"), True)
    equal(c.get("k"), b"start-mid-end")
    equal(c.append("k", ""), True)
    header = c.raw_command("get k", b"END\r\n").split(b"\r\n")[0]
    equal(header, b"VALUE k 7 13", "flags stay those of the set")


@check
def set_many_and_get_many(env):
    c = env.client()
    values = {f"k{i}": b"v%d" % i for i in range(500)}
    equal(c.set_many(values), [])
    equal(c.get_many(list(values) + ["missing"]), values)
    equal(c.get_many([]), {})
    equal(c.get_many(["missing"]), {})
    equal(c.delete_many(["k0", "k1", "missing"]), True)
    equal(c.get_many(["k0", "k1", "k2"]), {"k2": b"v2"})


# --- versions ---


@check
def gets_and_cas(env):
    c, other = env.client(), env.client()
    equal(c.gets("k"), (None, None))
    equal(c.cas("k", "v", b"1"), None, "cas of a missing key")
    equal(c.set("k", "v"), True)
    value, version = c.gets("k")
    equal(value, b"v")
    equal(c.cas("k", "w", version), True)
    equal(c.cas("k", "x", version), False, "cas with a used version")
    equal(c.get("k"), b"w")
    _, version = c.gets("k")
    equal(other.set("k", "y"), True)
    equal(c.cas("k", "z", version), False, "cas after another's set")
    equal(c.get("k"), b"y")


@check
def every_change_makes_a_new_version(env):
    c = env.client()
    c.set("k", "1")
    seen = [c.gets("k")[1]]
    for change in (
        lambda: c.set("k", "1"),
        lambda: c.append("k", "2"),
        lambda: c.prepend("k", "3"),
        lambda: c.incr("k", 1),
        lambda: c.decr("k", 1),
        lambda: c.replace("k", "5"),
    ):
        change()
        seen.append(c.gets("k")[1])
    equal(len(set(seen)), len(seen), f"different versions in {seen}")
    equal(c.gets("k")[1], seen[-1], "a get changes no version")


@check
def gets_many(env):
    c = env.client()
    c.set_many({"a": "1", "b": "2"})
    found = c.gets_many(["a", "b", "missing"])
    equal({key: value for key, (value, _) in found.items()}, {"a": b"1", "b": b"2"})
    equal(c.cas("a", "3", found["a"][1]), True)
    equal(c.cas("b", "3", found["a"][1]), False)


# --- counters ---


@check
def incr_and_decr(env):
    c = env.client()
    equal(c.incr("n", 1), None)
    equal(c.decr("n", 1), None)
    c.set("n", "10")
    equal(c.incr("n", 5), 15)
    equal(c.decr("n", 3), 12)
    equal(c.decr("n", 100), 0, "decr stops at zero")
    equal(c.get("n").rstrip(), b"0")
    c.set("n", str(2**64 - 1))
    equal(c.incr("n", 1), 0, "incr wraps at 2^64")
    c.set("n", "0")
    equal(c.incr("n", 2**64 - 1), 2**64 - 1)


@check
def decr_keeps_the_length(env):
    c = env.client()
    c.set("n", "100")
    equal(c.decr("n", 1), 99)
    equal(c.get("n"), b"99 ")


@check
def counters_refuse_what_is_no_number(env):
    c = env.client()
    c.set("n", "ten")
    raises(MemcacheClientError, "non-numeric value", c.incr, "n", 1)
    raises(MemcacheClientError, "non-numeric value", c.decr, "n", 1)
    c.set("n", "1")
    raises(MemcacheClientError, "invalid numeric delta", c.raw_command, "incr n x")
    equal(c.get("n"), b"1")


# --- removal ---


@check
def delete(env):
    c = env.client()
    equal(c.delete("k"), False)
    c.set("k", "v")
    equal(c.delete("k"), True)
    equal(c.get("k"), None)
    equal(c.delete("k"), False)


@check
def flush_all(env):
    c = env.client()
    c.set_many({f"k{i}": "v" for i in range(100)})
    equal(c.flush_all(), True)
    equal(c.get_many([f"k{i}" for i in range(100)]), {})
    equal(c.set("k0", "w"), True)
    equal(c.get("k0"), b"w", "a set right after the flush")


@check
def flush_all_later(env):
    c = env.client()
    c.set("k", "v")
    equal(c.flush_all(delay=2), True)
    equal(c.get("k"), b"v")
    time.sleep(3.2)
    equal(c.get("k"), None)
    c.set("k", "w")
    equal(c.get("k"), b"w")


# --- time ---


@check
def expiry(env):
    c = env.client()
    c.set("short", "v", expire=SHORT_S)
    c.set("long", "v", expire=100)
    c.set("absolute", "v", expire=int(time.time()) + 100)
    c.set("absolute-past", "v", expire=int(time.time()) - 100)
    c.set("negative", "v", expire=-1)
    c.set("never", "v", expire=0)
    equal(sorted(c.get_many(["long", "absolute", "absolute-past", "negative", "never"])),
          ["absolute", "long", "never"])
    time.sleep(PAST_SHORT_S)
    equal(c.get("short"), None)
    equal(c.add("short", "w"), True, "add where a value has expired")
    equal(sorted(c.get_many(["long", "absolute", "never"])), ["absolute", "long", "never"])


@check
def expired_is_missing_for_every_command(env):
    c = env.client()
    for key in ("a", "b", "c", "d", "e", "f"):
        c.set(key, "1", expire=SHORT_S)
    version = c.gets("f")[1]
    time.sleep(PAST_SHORT_S)
    equal(c.append("a", "x"), False)
    equal(c.replace("b", "x"), False)
    equal(c.incr("c", 1), None)
    equal(c.delete("d"), False)
    equal(c.touch("e", 10), False)
    equal(c.cas("f", "x", version), None)


@check
def touch(env):
    c = env.client()
    equal(c.touch("k", 10), False)
    c.set("longer", "v", expire=SHORT_S)
    c.set("shorter", "v")
    equal(c.touch("longer", 100), True)
    equal(c.touch("shorter", SHORT_S), True)
    time.sleep(PAST_SHORT_S)
    equal(c.get_many(["longer", "shorter"]), {"longer": b"v"})
    equal(c.touch("longer", -1), True)
    equal(c.get("longer"), None)


@check
def get_and_touch(env):
    c = env.client()
    c.set("a", "1", expire=SHORT_S)
    c.set("b", "2", expire=SHORT_S, flags=5)
    equal(c.raw_command("gat 100 a missing", b"END\r\n"), b"VALUE a 0 1\r\n1\r\n")
    version = c.gets("b")[1]
    equal(c.raw_command("gats 100 b", b"END\r\n"), b"VALUE b 5 1 %s\r\n2\r\n" % version)
    time.sleep(PAST_SHORT_S)
    equal(c.get_many(["a", "b"]), {"a": b"1", "b": b"2"})


@check
def appending_keeps_the_expiry(env):
    c = env.client()
    c.set("a", "1", expire=SHORT_S)
    c.set("n", "1", expire=SHORT_S)
    equal(c.append("a", "2", expire=100), True)
    equal(c.incr("n", 1), 2)
    time.sleep(PAST_SHORT_S)
    equal(c.get_many(["a", "n"]), {})


# --- limits ---


@check
def longest_value(env):
    c = env.client()
    value = bytes(range(251)) * (env.value_max // 251 + 1)
    value = value[: env.value_max]
    equal(c.set("k", value), True)
    equal(c.get("k"), value)
    equal(c.set("l", value), True)
    equal(c.get_many(["k", "l"]), {"k": value, "l": value})


@check
def too_long_value(env):
    c = env.client()
    equal(c.set("k", "old"), True)
    for size in (2**20 + 1, 3 * 2**20):
        raises(MemcacheServerError, "object too large for cache", c.set, "k", b"x" * size)
    equal(c.set("l", "v"), True, "the connection afterwards")
    equal(c.get("l"), b"v")
    equal(c.get("k"), None, "a refused set leaves no old value")


@check
def too_long_append(env):
    c = env.client()
    half = b"x" * (2**19 + 1)
    equal(c.set("k", half), True)
    # The original says NOT_STORED where an error would tell more; either way nothing changes.
    try:
        equal(c.append("k", half), False)
    except MemcacheServerError:
        pass
    equal(c.get("k"), half)


@check
def too_long_key(env):
    sock, lines = env.raw()
    with sock, lines:
        sock.sendall(b"get " + b"k" * 251 + b"\r\n")
        equal(lines.readline(), b"CLIENT_ERROR bad command line format\r\n")
        sock.sendall(b"set " + b"k" * 251 + b" 0 0 1\r\nv\r\nget k\r\n")
        equal(lines.readline(), b"CLIENT_ERROR bad command line format\r\n")


# --- no reply, pipelines, connections ---


@check
def noreply(env):
    c = env.client(default_noreply=True)
    equal(c.set("k", "v"), True)
    equal(c.get("k"), b"v")
    equal(c.add("k", "w"), True)
    equal(c.append("k", "x"), True)
    equal(c.prepend("k", "u"), True)
    equal(c.get("k"), b"uvx")
    equal(c.replace("k", "1"), True)
    equal(c.incr("k", 4, noreply=True), None)
    equal(c.decr("k", 2, noreply=True), None)
    equal(c.get("k"), b"3")
    equal(c.touch("k", 100), True)
    equal(c.cas("k", "5", c.gets("k")[1], noreply=True), True)
    equal(c.get("k"), b"5")
    equal(c.delete("k"), True)
    equal(c.get("k"), None)
    c.set("k", "v")
    equal(c.flush_all(), True)
    equal(c.get("k"), None)
    equal(c.set_many({f"k{i}": b"v" for i in range(1000)}), [])
    equal(len(c.get_many([f"k{i}" for i in range(1000)])), 1000)


@check
def pipeline(env):
    sock, lines = env.raw()
    count = 2000
    with sock, lines:
        commands = b"".join(b"set p%d 0 0 4\r\n%04d\r\nget p%d\r\n" % (i, i, i) for i in range(count))
        sender = threading.Thread(target=sock.sendall, args=(commands,))
        sender.start()
        for i in range(count):
            expected = [b"STORED", b"VALUE p%d 0 4" % i, b"%04d" % i, b"END"]
            equal([lines.readline().rstrip(b"\r\n") for _ in expected], expected, f"pair {i}")
        sender.join()


@check
def pieces(env):
    sock, lines = env.raw()
    with sock, lines:
        for byte in b"set k 3 0 5\r\nhello\r\ngets k\r\n":
            sock.sendall(bytes([byte]))
        equal(lines.readline(), b"STORED\r\n")
        equal(lines.readline().rsplit(b" ", 1)[0], b"VALUE k 3 5")
        equal(lines.readline() + lines.readline(), b"hello\r\nEND\r\n")


@check
def errors_leave_the_connection_usable(env):
    c = env.client()
    raises(MemcacheUnknownCommandError, "", c.raw_command, "nonsense")
    equal(c.set("k", "v"), True)
    sock, lines = env.raw()
    with sock, lines:
        sock.sendall(b"set k 0 0 3\r\ntoolong\r\n")
        equal(lines.readline(), b"CLIENT_ERROR bad data chunk\r\n")
        sock.sendall(b"get\r\nversion\r\n")
        # The original may take what follows the bad data for a command of its own.
        answers = [lines.readline() for _ in range(2)]
        equal(answers[0], b"ERROR\r\n")
        while not answers[-1].startswith(b"VERSION "):
            equal(answers[-1], b"ERROR\r\n")
            answers.append(lines.readline())


@check
def quit_closes(env):
    sock, lines = env.raw()
    with sock, lines:
        sock.sendall(b"set k 0 0 1\r\nv\r\nquit\r\nget k\r\n")
        equal(lines.read(), b"STORED\r\n")
    c = env.client()
    c.quit()
    equal(c.get("k"), b"v", "pymemcache connects again after a quit")


@check
def half_closed_by_the_client(env):
    sock, lines = env.raw()
    with sock, lines:
        sock.sendall(b"set k 0 0 1\r\nv\r\nget k\r\n")
        equal(lines.readline(), b"STORED\r\n")
        sock.shutdown(socket.SHUT_WR)
        equal(lines.read(), b"VALUE k 0 1\r\nv\r\nEND\r\n")


@check
def many_connections(env):
    clients = [env.client() for _ in range(64)]
    for i, c in enumerate(clients):
        equal(c.set(f"k{i}", str(i)), True)
    for i, c in enumerate(reversed(clients)):
        equal(c.get(f"k{i}"), b"%d" % i)


@check
def counters_from_many_threads(env):
    env.client().set("n", "0")
    errors = []

    def work(c):
        try:
            for _ in range(250):
                c.incr("n", 1)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(env.client(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])
    equal(env.client().get("n"), b"2000")


@check
def cas_from_many_threads(env):
    env.client().set("n", "0")
    errors = []

    def work(c):
        try:
            for _ in range(50):
                while True:
                    value, version = c.gets("n")
                    if c.cas("n", str(int(value) + 1), version):
                        break
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(env.client(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])
    equal(env.client().get("n"), b"400")


# --- about the server ---


@check
def version(env):
    found = env.client().version()
    if not found or not found[:1].isdigit():
        raise AssertionError(f"version is {found!r}")


@check
def stats(env):
    c = env.client()
    before = c.stats()
    for name in (b"pid", b"uptime", b"time", b"version", b"pointer_size", b"curr_connections",
                 b"total_connections", b"cmd_get", b"cmd_set", b"get_hits", b"get_misses",
                 b"bytes_read", b"bytes_written", b"limit_maxbytes", b"threads", b"bytes",
                 b"curr_items", b"total_items", b"evictions"):
        if name not in before:
            raise AssertionError(f"no {name.decode()}")
    c.set("k", "v")
    c.get("k")
    c.get("missing")
    after = c.stats()
    grown = {name: after[name] - before[name]
             for name in (b"cmd_set", b"cmd_get", b"get_hits", b"get_misses", b"total_items")}
    equal(grown, {b"cmd_set": 1, b"cmd_get": 2, b"get_hits": 1, b"get_misses": 1,
                  b"total_items": 1})
    # Flushed items may count until something comes across them.
    if after[b"curr_items"] < 1:
        raise AssertionError("no curr_items after a set")


@check
def stats_settings(env):
    found = env.client().stats("settings")
    for name in (b"maxbytes", b"maxconns", b"item_size_max"):
        if name not in found:
            raise AssertionError(f"no {name.decode()}")


# --- other faces of pymemcache ---


@check
def serde_of_python_objects(env):
    c = env.client(serde=serde.pickle_serde)
    for value in ("text", "戸棚", b"bytes", 42, -1, 3.5, None, {"a": [1, 2]}, (1, "2")):
        equal(c.set("k", value), True)
        equal(c.get("k"), value)
    equal(c.set_many({"a": 1, "b": {"c": 2}}), [])
    equal(c.get_many(["a", "b"]), {"a": 1, "b": {"c": 2}})


@check
def serde_compressed(env):
    c = env.client(serde=serde.compressed_serde)
    value = "compress me " * 1000
    equal(c.set("k", value), True)
    equal(c.get("k"), value)
    if len(env.client().get("k")) >= len(value):
        raise AssertionError("the value was not compressed")


@check
def hash_client(env):
    for pooling in (False, True):
        c = env.client(HashClient, use_pooling=pooling)
        values = {f"h{i}": b"%d" % i for i in range(100)}
        equal(c.set_many(values), [])
        equal(c.get_many(list(values)), values)
        equal(c.incr("h1", 1), 2)
        value, cas = c.gets("h2")
        equal((value, c.cas("h2", "x", cas), c.get("h2")), (b"2", True, b"x"))
        equal(c.delete_many(list(values)), True)
        equal(c.get_many(list(values)), {})
        c.flush_all()


@check
def pooled_client(env):
    c = env.client(PooledClient, max_pool_size=4)
    errors = []

    def work(name):
        try:
            for i in range(50):
                equal(c.set(f"{name}-{i}", str(i)), True)
                equal(c.get(f"{name}-{i}"), b"%d" % i)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"t{t}",)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])


@check
def retrying_client(env):
    c = RetryingClient(env.client(), attempts=2)
    equal(c.set("k", "v"), True)
    equal(c.get("k"), b"v")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--address", required=True, help="HOST:PORT, or the path of a Unix socket")
    parser.add_argument("--value-max-bytes", type=int, default=2**20 - 1024)
    parser.add_argument("names", nargs="*", help="only these checks")
    options = parser.parse_args()
    env = Env(options.address, options.value_max_bytes)
    passed = failed = 0
    for function in CHECKS:
        if options.names and function.__name__ not in options.names:
            continue
        try:
            env.client().flush_all()
            function(env)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in at if frame.filename == __file__]
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__} "
            why = " ".join(f"{kind}{error}".split())
            print(f"FAILED {function.__name__}: line {lines[1] if lines[1:] else lines[0]}: {why}")
            failed += 1
        else:
            print(f"ok {function.__name__}")
            passed += 1
        finally:
            env.close()
        sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
