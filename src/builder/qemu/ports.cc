#include "builder/qemu/ports.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <random>

#include "base/error.h"
#include "base/fd.h"

namespace kiln::qemu {

int find_free_port(const std::string& address, int min, int max) {
  std::random_device random;
  int count = max - min + 1;
  int first = std::uniform_int_distribution<int>(0, count - 1)(random);
  for (int i = 0; i < count; ++i) {
    int port = min + (first + i) % count;
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.is_open()) throw_errno("socket");
    int one = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(static_cast<uint16_t>(port));
    if (address.empty() || ::inet_pton(AF_INET, address.c_str(), &name.sin_addr) != 1) {
      name.sin_addr.s_addr = htonl(INADDR_ANY);
    }
    if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0) continue;
    if (::listen(socket.get(), 1) == 0) return port;
  }
  throw Error(ErrorKind::environment, fmt::format("no port between {} and {} is free", min, max));
}

}  // namespace kiln::qemu
