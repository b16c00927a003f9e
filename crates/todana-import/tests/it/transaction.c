/* Leaves a B+ tree file as a program does that ends within a transaction. Its keys are ordered by a
   function of its own, the last byte first. */
#include <stdio.h>
#include <stdlib.h>
#include <tcbdb.h>
#include <unistd.h>

static int last_first(const char *a, int a_len, const char *b, int b_len, void *unused) {
  (void)unused;
  int count = a_len < b_len ? a_len : b_len;
  for (int i = 1; i <= count; i++) {
    int difference = (unsigned char)a[a_len - i] - (unsigned char)b[b_len - i];
    if (difference != 0) return difference;
  }
  return a_len - b_len;
}

static int check(bool done, const char *what) {
  if (!done) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  TCBDB *tree = tcbdbnew();
  check(tcbdbsetcmpfunc(tree, last_first, NULL), "setcmpfunc");
  check(tcbdbtune(tree, 4, 4, 100, 4, 4, 0), "tune");
  check(tcbdbopen(tree, arguments[1], BDBOWRITER | BDBOCREAT), "open");
  for (int i = 0; i < 200; i++) {
    char key[32], value[32];
    sprintf(key, "%d", i * 7919 % 1000);
    sprintf(value, "value %d", i);
    check(tcbdbputdup2(tree, key, value), "put");
    check(tcbdbputdup2(tree, key, "again"), "put");
  }
  check(tcbdbsync(tree), "sync");
  check(tcbdbtranbegin(tree), "begin");
  for (int i = 0; i < 200; i++) {
    char key[32];
    sprintf(key, "new %d", i);
    check(tcbdbput2(tree, key, "of the transaction"), "put");
  }
  check(tcbdbmemsync(tree, false), "memsync");
  _exit(0);
}
