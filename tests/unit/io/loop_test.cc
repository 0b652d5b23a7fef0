// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/loop.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>

#include <memory>
#include <vector>

#include "tests/unit/io/drive.h"

namespace sallyport::io {
namespace {

// Submits one operation as given and remembers what came of it.
class ProbeCore final : public Core {
 public:
  using Core::Core;
  template <class Fill>
  void start(Fill&& fill) {
    loop().submit(operation_, *this, kHandler<&ProbeCore::on_done>, std::forward<Fill>(fill));
  }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] int result() const { return result_; }

 private:
  void on_done(int32_t result, uint32_t /*flags*/) {
    done_ = true;
    result_ = result;
  }
  void on_close() override { loop().cancel(operation_); }
  Operation operation_;
  bool done_ = false;
  int result_ = 0;
};

TEST(loop, posted_functions_run_in_order_and_a_nested_one_a_turn_later) {
  const auto loop = make_loop();
  std::vector<int> order;
  loop->post([&] {
    order.push_back(1);
    loop->post([&] { order.push_back(3); });
  });
  loop->post([&] { order.push_back(2); });
  ASSERT_TRUE(loop->run_once());
  EXPECT_EQ(order, (std::vector{1, 2}));
  ASSERT_TRUE(loop->run_once());
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST(loop, stop_ends_run_and_only_that_run) {
  const auto loop = make_loop();
  int turns = 0;
  loop->post([&] {
    ++turns;
    loop->stop();
  });
  ASSERT_TRUE(loop->run());
  loop->post([&] {
    ++turns;
    loop->stop();
  });
  ASSERT_TRUE(loop->run());
  EXPECT_EQ(turns, 2);
}

TEST(loop, a_callback_may_own_what_cannot_be_copied_and_be_reset_while_it_runs) {
  auto alive = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = alive;
  Callback<void()> callback;
  int seen = 0;
  callback = [&callback, &seen, keep = std::make_unique<std::shared_ptr<int>>(std::move(alive))] {
    callback.reset();
    seen = **keep;  // captures outlive the call, not the object
  };
  callback();
  EXPECT_EQ(seen, 7);
  EXPECT_TRUE(watch.expired());
  callback();  // empty: nothing
}

TEST(loop, destruction_takes_back_what_is_in_flight) {
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const Fd read_end{pipe[0]};
  const Fd write_end{pipe[1]};
  auto loop = make_loop();
  auto probe = std::make_shared<ProbeCore>(*loop);
  probe->start([&](io_uring_sqe* sqe) { ::io_uring_prep_poll_add(sqe, read_end.raw(), POLLIN); });
  ASSERT_EQ(loop->in_flight(), 1U);
  loop.reset();
  EXPECT_TRUE(probe->closed());
  EXPECT_TRUE(probe->done());
  EXPECT_EQ(probe->result(), -ECANCELED);
}

TEST(loop, more_submissions_and_completions_than_the_ring_has_room_for) {
  const auto loop = make_loop({.entries = 4, .allowed_operations = {}});
  std::vector<std::shared_ptr<ProbeCore>> probes;
  for (int i = 0; i < 2000; ++i) {
    probes.push_back(std::make_shared<ProbeCore>(*loop));
    probes.back()->start([](io_uring_sqe* sqe) { ::io_uring_prep_nop(sqe); });
  }
  ASSERT_TRUE(run_until(*loop, [&] { return probes.back()->done(); }));
  for (const auto& probe : probes) EXPECT_TRUE(probe->done() && probe->result() == 0);
  EXPECT_EQ(loop->in_flight(), 1U);  // the deadline's timeout
}

TEST(loop, a_restricted_ring_refuses_other_operations_and_stays_of_use) {
  const auto loop = make_loop({.allowed_operations = own_operations()});
  const auto open_file = std::make_shared<ProbeCore>(*loop);
  open_file->start([](io_uring_sqe* sqe) {
    ::io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
  });
  const auto make_socket = std::make_shared<ProbeCore>(*loop);
  make_socket->start([](io_uring_sqe* sqe) {
    ::io_uring_prep_rw(IORING_OP_SOCKET, sqe, AF_INET, nullptr, 0, SOCK_RAW);
  });
  const auto linked = std::make_shared<ProbeCore>(*loop);
  linked->start([](io_uring_sqe* sqe) {
    ::io_uring_prep_poll_add(sqe, 0, POLLIN);
    sqe->flags |= IOSQE_IO_LINK;  // a flag that we never use
  });
  ASSERT_TRUE(
      run_until(*loop, [&] { return open_file->done() && make_socket->done() && linked->done(); }));
  EXPECT_EQ(open_file->result(), -EACCES);
  EXPECT_EQ(make_socket->result(), -EACCES);
  EXPECT_EQ(linked->result(), -EACCES);
}

TEST(loop, the_same_operation_is_accepted_without_the_restriction) {
  const auto loop = make_loop();
  const auto open_file = std::make_shared<ProbeCore>(*loop);
  open_file->start([](io_uring_sqe* sqe) {
    ::io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
  });
  ASSERT_TRUE(run_until(*loop, [&] { return open_file->done(); }));
  ASSERT_GE(open_file->result(), 0);
  const Fd opened{open_file->result()};
}

}  // namespace
}  // namespace sallyport::io
