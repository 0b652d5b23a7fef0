// SPDX-License-Identifier: BSD-3-Clause
/// How a node asks to be let into a tailnet, and what it is told.
/// Source: tailscale tailcfg RegisterRequest, RegisterResponse.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "agent/model/netmap.h"
#include "agent/model/tailnet_keys.h"
#include "agent/wire/tailcfg/json_error.h"

namespace sallyport::tailcfg {

/// Bound of any body that is no map response.
constexpr size_t kMaxBody = size_t{1024} * 1024;

struct RegisterAuth {
  std::string auth_key;  // opaque, and a secret: never logged
  friend bool operator==(const RegisterAuth&, const RegisterAuth&) = default;
};

struct RegisterRequest {
  uint32_t version = 0;  // capability version
  NodeKey node_key;
  NodeKey old_node_key;  // zero: none
  LockKey lock_key;      // zero: none
  std::optional<RegisterAuth> auth;
  /// When the key should end. In the past: log out. Absent: the server's choice.
  std::optional<WallTime> expiry;
  std::string followup;  // an AuthURL that people are expected to visit
  std::optional<Hostinfo> hostinfo;
  bool ephemeral = false;
  Bytes node_key_signature;
  std::string tailnet;
  friend bool operator==(const RegisterRequest&, const RegisterRequest&) = default;
};

struct User {
  UserId id{};
  std::string display_name;
  std::string profile_pic_url;
  std::optional<WallTime> created;
  friend bool operator==(const User&, const User&) = default;
};
struct Login {
  int64_t id = 0;
  std::string provider;
  std::string login_name;
  std::string display_name;
  std::string profile_pic_url;
  friend bool operator==(const Login&, const Login&) = default;
};

/// Comes with status 200 also when `error` says that nothing came of it.
struct RegisterResponse {
  User user;
  Login login;
  bool node_key_expired = false;  // make another and come again
  bool machine_authorized = false;
  std::string auth_url;  // not empty: a person has to go there
  Bytes node_key_signature;
  std::string error;
  friend bool operator==(const RegisterResponse&, const RegisterResponse&) = default;
};

Result<RegisterRequest, JsonError> parse_register_request(std::string_view json);
Result<RegisterResponse, JsonError> parse_register_response(std::string_view json);
/// Text that is no UTF-8 is mended, bytes replaced by U+FFFD. So do all writers here.
std::string write_register_request(const RegisterRequest& request);
std::string write_register_response(const RegisterResponse& response);

}  // namespace sallyport::tailcfg
