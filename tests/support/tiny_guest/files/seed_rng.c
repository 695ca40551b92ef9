// Tells the kernel's random number generator that what comes on stdin is as
// good as random, so that the ssh server need not wait for the generator (about
// a second without KVM). Fit for a test machine only.
#include <linux/random.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void) {
  struct {
    struct rand_pool_info info;
    char bytes[64];
  } pool = {{0, 0}, {0}};
  long n = read(0, pool.bytes, sizeof pool.bytes);
  if (n <= 0) return 1;
  pool.info.buf_size = (int)n;
  pool.info.entropy_count = (int)n * 8;
  return ioctl(1, RNDADDENTROPY, &pool) != 0;
}
