// SPDX-License-Identifier: BSD-3-Clause
/// How a node gets into its tailnet and stays there: which request to make next, and what its
/// answer means.
/// Source: tailscale control/controlclient/direct.go; the order of a server's decisions in
/// tailcfg RegisterResponse.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/base/random.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/tailcfg/registration.h"

namespace sallyport::control {

/// Who we are to the control server.
struct Identity {
  PrivateKey machine;
  PrivateKey node;
  /// The server has accepted the node key before.
  bool registered = false;
  /// What shall replace the node key as soon as the server has accepted it.
  std::optional<PrivateKey> next;

  static Identity make(RandomSource& random);
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// What a control server is sent of an auth key: a suffix with a signature for tailnet lock is for
/// us, not for it.
std::string_view sent_part(std::string_view auth_key);

enum class LoginStep : uint8_t {
  kRegistered,
  kAgain,    // make the next request at once
  kVisit,    // visit() is another one: show it, and make the next request
  kWait,     // nobody has been there yet: make the next request after a while
  kRefused,  // error()
};

class Login {
 public:
  struct Setup {
    std::string auth_key;  // empty: none
    bool ephemeral = false;
    friend bool operator==(const Setup&, const Setup&) = default;
  };

  Login(Setup setup, Identity identity, RandomSource& random);

  [[nodiscard]] const Identity& identity() const { return identity_; }
  /// The key is spent, or a person wants to be asked: begins a round for a new key. The old one is
  /// in use until then.
  void rotate();
  /// Forgets a round under way; the next request is a first one.
  void start_over();

  [[nodiscard]] tailcfg::RegisterRequest request(const Hostinfo& hostinfo) const;
  [[nodiscard]] tailcfg::RegisterRequest logout_request(const Hostinfo& hostinfo) const;
  LoginStep on_response(const tailcfg::RegisterResponse& response);
  /// The server does not know us any more: the next request is as a new node's, with our keys.
  void on_forgotten();
  /// The server was told to forget us: another node key, which replaces none.
  void on_logged_out();

  /// Where a person has to go; empty: nowhere. Printable, and http or https.
  [[nodiscard]] const std::string& visit() const { return visit_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  LoginStep refuse(std::string why);

  Setup setup_;
  Identity identity_;
  RandomSource& random_;
  bool with_auth_key_ = false;
  bool rotated_ = false;  // in this round
  std::string visit_;
  std::string error_;
};

}  // namespace sallyport::control
