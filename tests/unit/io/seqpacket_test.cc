// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/seqpacket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>

#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

struct Message {
  std::string bytes;
  std::vector<Fd> fds;
};
struct Side {
  std::vector<Message> got;
  bool ended = false;
  std::optional<Error> error;
  int writable = 0;
  Seqpacket channel;

  void open(Loop& loop, Fd fd, size_t send_queue = Seqpacket::kSendQueue) {
    auto made = Seqpacket::adopt(
        loop, std::move(fd),
        {.on_message = [this](ByteView b,
                              std::vector<Fd> fds) { got.push_back({text(b), std::move(fds)}); },
         .on_end =
             [this](std::optional<Error> e) {
               ended = true;
               error = std::move(e);
             },
         .on_writable = [this] { ++writable; }},
        send_queue);
    ASSERT_TRUE(made);
    channel = std::move(made).value();
  }
};

Fd pipe_with(std::string_view content) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd write_end{ends[1]};
  EXPECT_EQ(::write(write_end.raw(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  return Fd{ends[0]};
}
std::string content_of(const Fd& fd) {
  char buffer[64];
  const ssize_t count = ::read(fd.raw(), buffer, sizeof buffer);
  return count < 0 ? "error" : std::string(buffer, static_cast<size_t>(count));
}
size_t open_fds() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
    ++count;
  return count;
}

TEST(seqpacket, echo_keeps_boundaries_and_order_both_ways) {
  const auto loop = make_loop();
  auto [a, b] = *Seqpacket::pair();
  Side near;
  Side far;
  near.open(*loop, std::move(a));
  far.open(*loop, std::move(b));
  const std::string longest(Seqpacket::kMessageBytes, 'm');
  EXPECT_EQ(near.channel.send(view("one")), Offer::kTaken);
  EXPECT_EQ(near.channel.send(view(longest)), Offer::kTaken);
  EXPECT_EQ(near.channel.send(view("three")), Offer::kTaken);
  EXPECT_EQ(far.channel.send(view("back")), Offer::kTaken);
  ASSERT_TRUE(run_until(*loop, [&] { return far.got.size() == 3 && near.got.size() == 1; }));
  EXPECT_EQ(far.got[0].bytes, "one");
  EXPECT_TRUE(far.got[1].bytes == longest);
  EXPECT_EQ(far.got[2].bytes, "three");
  EXPECT_EQ(near.got[0].bytes, "back");
}

TEST(seqpacket, refuses_what_is_not_a_message) {
  const auto loop = make_loop();
  auto [a, b] = *Seqpacket::pair();
  Side near;
  near.open(*loop, std::move(a));
  EXPECT_EQ(near.channel.send({}), Offer::kTooBig);
  EXPECT_EQ(near.channel.send(view(std::string(Seqpacket::kMessageBytes + 1, 'x'))),
            Offer::kTooBig);
  std::vector<Fd> many;
  for (size_t i = 0; i <= Seqpacket::kMessageFds; ++i) many.push_back(pipe_with("x"));
  EXPECT_EQ(near.channel.send(view("x"), std::move(many)), Offer::kTooBig);
  EXPECT_EQ(many.size(), Seqpacket::kMessageFds + 1);  // NOLINT: not taken, so still ours
}

TEST(seqpacket, passes_descriptors_both_ways_close_on_exec) {
  const auto loop = make_loop();
  auto [a, b] = *Seqpacket::pair();
  Side near;
  Side far;
  near.open(*loop, std::move(a));
  far.open(*loop, std::move(b));
  std::vector<Fd> most;
  for (size_t i = 0; i < Seqpacket::kMessageFds; ++i) {
    most.push_back(pipe_with("fd" + std::to_string(i)));
  }
  std::vector<Fd> one;
  one.push_back(pipe_with("back"));
  EXPECT_EQ(near.channel.send(view("take"), std::move(most)), Offer::kTaken);
  EXPECT_EQ(far.channel.send(view("and"), std::move(one)), Offer::kTaken);
  ASSERT_TRUE(run_until(*loop, [&] { return !far.got.empty() && !near.got.empty(); }));
  ASSERT_EQ(far.got[0].fds.size(), Seqpacket::kMessageFds);
  for (size_t i = 0; i < far.got[0].fds.size(); ++i) {
    EXPECT_EQ(content_of(far.got[0].fds[i]), "fd" + std::to_string(i));
    EXPECT_NE(::fcntl(far.got[0].fds[i].raw(), F_GETFD) & FD_CLOEXEC, 0);
  }
  ASSERT_EQ(near.got[0].fds.size(), 1U);
  EXPECT_EQ(content_of(near.got[0].fds[0]), "back");
}

TEST(seqpacket, a_bounded_queue_keeps_order_and_announces_room) {
  const auto loop = make_loop();
  auto [a, b] = *Seqpacket::pair();
  Side near;
  near.open(*loop, std::move(a), 100'000);
  std::deque<std::string> expected;
  Offer offer = Offer::kTaken;
  for (int i = 0; offer == Offer::kTaken; ++i) {
    const std::string message = std::to_string(i) + std::string(10'000, 'q');
    std::vector<Fd> fds;
    fds.push_back(pipe_with(std::to_string(i)));
    offer = near.channel.send(view(message), std::move(fds));
    if (offer == Offer::kTaken) expected.push_back(message);
    EXPECT_EQ(fds.empty(), offer == Offer::kTaken);  // NOLINT: that is the contract
  }
  EXPECT_EQ(offer, Offer::kFull);
  EXPECT_GT(near.channel.queued_bytes(), 80'000U);

  Side far;
  far.open(*loop, std::move(b));
  ASSERT_TRUE(
      run_until(*loop, [&] { return far.got.size() == expected.size() && near.writable == 1; }));
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_TRUE(far.got[i].bytes == expected[i]) << i;
    ASSERT_EQ(far.got[i].fds.size(), 1U);
    EXPECT_EQ(content_of(far.got[i].fds[0]), std::to_string(i));
  }
}

TEST(seqpacket, the_end_comes_after_what_was_sent_before_it) {
  const auto loop = make_loop();
  auto [a, b] = *Seqpacket::pair();
  ASSERT_EQ(::send(b.raw(), "last", 4, 0), 4);
  b.reset();
  Side near;
  near.open(*loop, std::move(a));
  EXPECT_EQ(near.channel.send(view("to nobody")), Offer::kClosed);
  ASSERT_TRUE(run_until(*loop, [&] { return near.ended; }));
  EXPECT_FALSE(near.error) << near.error->text();
  ASSERT_EQ(near.got.size(), 1U);
  EXPECT_EQ(near.got[0].bytes, "last");
}

// What a hostile peer sends by its own code.
ssize_t send_raw(int socket, size_t bytes, const std::vector<Fd>& fds) {
  std::string payload(bytes, 'r');
  iovec part{payload.data(), payload.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(253 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (size_t i = 0; i < fds.size(); ++i) {
      const int raw = fds[i].raw();
      std::memcpy(CMSG_DATA(header) + i * sizeof raw, &raw, sizeof raw);
    }
  }
  return ::sendmsg(socket, &message, MSG_DONTWAIT);
}

TEST(seqpacket, truncated_messages_are_an_error_and_leak_nothing) {
  struct Row {
    const char* name;
    size_t bytes;
    size_t fds;
  };
  for (const Row& row : {Row{"too long", Seqpacket::kMessageBytes + 1, 1},
                         Row{"too many descriptors", 10, Seqpacket::kMessageFds + 1},
                         Row{"far too many", 10, 200}}) {
    const auto loop = make_loop();
    auto [a, b] = *Seqpacket::pair();
    Side near;
    near.open(*loop, std::move(a));
    const size_t before = open_fds();
    {
      std::vector<Fd> fds;
      for (size_t i = 0; i < row.fds; ++i) fds.push_back(pipe_with("x"));
      ASSERT_GT(send_raw(b.raw(), row.bytes, fds), 0) << row.name;
    }
    ASSERT_TRUE(run_until(*loop, [&] { return near.ended; })) << row.name;
    ASSERT_TRUE(near.error) << row.name;
    EXPECT_EQ(near.error->code.value(), EMSGSIZE) << row.name;
    EXPECT_TRUE(near.got.empty()) << row.name;
    EXPECT_EQ(open_fds(), before) << row.name;
  }
}

TEST(seqpacket, destroyed_within_its_callback_or_with_a_message_on_its_way) {
  const auto loop = make_loop();
  const size_t before = open_fds();
  int calls = 0;
  {
    auto [a, b] = *Seqpacket::pair();
    std::optional<Seqpacket> channel;
    channel = *Seqpacket::adopt(*loop, std::move(a),
                                {.on_message = [&](ByteView bytes, std::vector<Fd> fds) {
                                  channel.reset();
                                  EXPECT_EQ(text(bytes), "rrr");
                                  EXPECT_EQ(fds.size(), 1U);
                                  ++calls;
                                }});
    std::vector<Fd> fds;
    fds.push_back(pipe_with("x"));
    ASSERT_EQ(send_raw(b.raw(), 3, fds), 3);
    ASSERT_EQ(send_raw(b.raw(), 3, fds), 3);
    ASSERT_TRUE(run_until(*loop, [&] { return calls == 1; }));
  }
  {
    auto [a, b] = *Seqpacket::pair();
    Side near;
    near.open(*loop, std::move(a));
    settle(*loop);
    std::vector<Fd> fds;
    fds.push_back(pipe_with("x"));
    ASSERT_EQ(send_raw(b.raw(), 3, fds), 3);  // completes the receive, which nobody has seen yet
    near.channel = Seqpacket{};
    ASSERT_TRUE(drained(*loop));
    EXPECT_TRUE(near.got.empty());
  }
  settle(*loop);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(open_fds(), before);
}

}  // namespace
}  // namespace sallyport::io
