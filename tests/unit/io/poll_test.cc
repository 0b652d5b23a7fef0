// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/poll.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <optional>

#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    read_end = Fd{ends[0]};
    write_end = Fd{ends[1]};
  }
  Fd read_end;
  Fd write_end;
};

TEST(readable, is_called_until_everything_is_read) {
  const auto loop = make_loop();
  Pipe pipe;
  int calls = 0;
  const int raw = pipe.read_end.raw();
  const Readable readable{*loop, std::move(pipe.read_end), [&](uint32_t revents) {
                            EXPECT_NE(revents & POLLIN, 0U);
                            char byte = 0;
                            EXPECT_EQ(::read(raw, &byte, 1), 1);  // leaves the rest
                            ++calls;
                          }};
  ASSERT_EQ(::write(pipe.write_end.raw(), "abcde", 5), 5);
  ASSERT_TRUE(run_until(*loop, [&] { return calls == 5; }));
  settle(*loop);
  EXPECT_EQ(calls, 5);
  ASSERT_EQ(::write(pipe.write_end.raw(), "f", 1), 1);
  ASSERT_TRUE(run_until(*loop, [&] { return calls == 6; }));
}

TEST(readable, a_borrowed_descriptor_may_be_closed) {
  const auto loop = make_loop();
  Pipe pipe;
  uint32_t seen = 0;
  std::optional<Readable> readable;
  readable = Readable::borrow(*loop, pipe.read_end.raw(), [&](uint32_t revents) {
    seen = revents;
    readable.reset();
  });
  pipe.read_end.reset();
  pipe.write_end.reset();
  ASSERT_TRUE(run_until(*loop, [&] { return seen != 0; }));
  EXPECT_NE(seen & POLLHUP, 0U);
  settle(*loop);
}

TEST(readable, an_invalid_descriptor_is_told_once) {
  const auto loop = make_loop();
  int calls = 0;
  const Readable readable{*loop, Fd{}, [&](uint32_t revents) {
                            EXPECT_NE(revents & POLLERR, 0U);
                            ++calls;
                          }};
  ASSERT_TRUE(run_until(*loop, [&] { return calls > 0; }));
  settle(*loop);
  EXPECT_EQ(calls, 1);
}

TEST(readable, destroyed_while_ready_but_not_yet_called) {
  const auto loop = make_loop();
  Pipe pipe;
  std::optional<Readable> readable;
  readable.emplace(*loop, std::move(pipe.read_end), [](uint32_t) { FAIL(); });
  settle(*loop);
  ASSERT_EQ(::write(pipe.write_end.raw(), "x", 1), 1);
  readable.reset();
  ASSERT_TRUE(drained(*loop));
}

}  // namespace
}  // namespace sallyport::io
