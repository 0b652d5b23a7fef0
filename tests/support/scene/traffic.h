// SPDX-License-Identifier: BSD-3-Clause
/// Traffic of a scene: sockets inside namespaces, and streams that know what they lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"
#include "tests/support/scene/net.h"

namespace sallyport::scene {

/// A socket made inside a namespace; `local` and `remote` as "10.0.0.1" or "fd00::1".
Fd udp_socket(const std::string& netns, const std::string& local, uint16_t port = 0);
uint16_t port_of(const Fd& socket);
/// Sends to an address; the errno, or 0.
int send_to(const Fd& socket, const std::string& remote, uint16_t port, const std::string& payload);
/// One datagram, or nothing at the limit.
struct Datagram {
  std::string payload;
  std::string from;
  uint16_t port = 0;
};
std::optional<Datagram> receive(const Fd& socket, std::chrono::milliseconds limit);

/// How a connection attempt ended: 0 or an errno (ETIMEDOUT: nothing was heard within the limit).
struct Connection {
  int error = 0;
  Fd socket;
};
Connection tcp_connect(const std::string& netns, const std::string& remote, uint16_t port,
                       std::chrono::milliseconds limit = 15s, const std::string& local = {});
/// Sends all and reads exactly as many bytes back; false on error or at the limit.
bool tcp_echo(const Fd& socket, size_t bytes, std::chrono::milliseconds limit = 10s);
/// TcpRetransSegs of a namespace.
uint64_t tcp_retransmits(const std::string& netns);

/// Echoes TCP and UDP on one address, and remembers who came.
class EchoServer {
 public:
  EchoServer(const std::string& netns, const std::string& local, uint16_t port = 0);
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  ~EchoServer();
  [[nodiscard]] uint16_t port() const { return port_; }
  /// Source address of the latest TCP connection or datagram.
  [[nodiscard]] std::string last_client() const;

 private:
  void serve();
  Fd udp_, tcp_, wake_;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::string last_client_;
  std::thread thread_;
};

/// ICMP echo by the ping program of the system: how many of `count` came back.
int pings(const std::string& netns, const std::string& remote, int count = 1,
          std::chrono::milliseconds limit = 3s);

/// Numbered datagrams both ways at a steady rate. Loss is judged by the numbers alone.
class Stream {
 public:
  struct Ends {
    std::string a_netns, a_address, b_netns, b_address;
    uint16_t b_port = 0;
  };
  /// b_address is where `b` listens and where a sends; b sends to where a's packets come from.
  /// `window`: packets that may be under way in each direction. A machine too busy for the rate
  /// then slows the stream down instead of overflowing a queue, so that every loss is somebody's
  /// doing. 0: no window, for a stream that is to be cut and must go on sending all the same.
  explicit Stream(const Ends& ends, int per_second = 1000, uint64_t window = 400);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  /// Waits until both directions have received `packets` more.
  bool flowing(uint64_t packets = 50, std::chrono::milliseconds limit = 30s);
  struct Direction {
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t duplicates = 0;
    uint64_t highest = 0;  // number of a packet received; numbers count from 0
    Clock::time_point last_received{};
  };
  struct Report {
    Direction a_to_b, b_to_a;
    [[nodiscard]] uint64_t lost() const {
      return a_to_b.sent - a_to_b.received + b_to_a.sent - b_to_a.received;
    }
    [[nodiscard]] std::string text() const;
  };
  [[nodiscard]] Report now() const;
  /// Stops sending, waits for what is under way, and reports.
  Report finish();
  /// Only one side goes on sending.
  void silence_a() { a_sends_ = false; }
  void silence_b() { b_sends_ = false; }

 private:
  struct Side {
    Fd socket;
    std::atomic<uint64_t> sent{0}, received{0}, duplicates{0}, highest{0};
    std::atomic<int64_t> last{0};
    std::vector<bool> seen;
  };
  void send_loop();
  void receive_loop(Side& to);
  Side a_, b_;
  Ends ends_;
  int per_second_;
  uint64_t window_;
  std::atomic<bool> sending_{true}, running_{true}, a_sends_{true}, b_sends_{true};
  std::mutex peer_mutex_;
  std::string a_seen_as_;
  std::atomic<uint16_t> a_port_{0};
  std::thread sender_, a_receiver_, b_receiver_;
};

}  // namespace sallyport::scene
