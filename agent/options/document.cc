// SPDX-License-Identifier: BSD-3-Clause
#include "agent/options/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <map>
#include <optional>
#include <streambuf>

#include "agent/base/text.h"

namespace sallyport::options {
namespace {

Mark mark_of(const YAML::Mark& mark) {
  return {static_cast<uint32_t>(mark.line + 1), static_cast<uint32_t>(mark.column + 1)};
}

Node make_node(Node::Type type, const YAML::Mark& mark) {
  Node node;
  node.type = type;
  node.mark = mark_of(mark);
  return node;
}

/// Reads a string_view in place: an istringstream would copy it.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    auto* begin = const_cast<char*>(text.data());  // NOLINT: setg wants it, nothing writes
    setg(begin, begin, begin + text.size());
  }
};

/// The first byte that is not text, if there is one.
std::optional<std::pair<Mark, std::string>> find_bad_byte(std::string_view text) {
  Mark at{1, 1};
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return {{at, "this byte is not UTF-8"}};
    const bool blank = text[0] == '\t' || text[0] == '\n' || text[0] == '\r';
    if (!blank && is_control(text.substr(0, length))) {
      return {{at, "this control character is not allowed in text"}};
    }
    at = text[0] == '\n' ? Mark{at.line + 1, 1}
                         : Mark{at.line, at.column + static_cast<uint32_t>(length)};
    text.remove_prefix(length);
  }
  return {};
}

/// The two mistakes that the parser's own words do not explain.
std::string syntax_hint(std::string_view text, std::string_view message) {
  unsigned line = 1;
  while (!text.empty()) {
    const auto indent = text.find_first_not_of(" \t");
    const bool tab = text.substr(0, indent).find('\t') != std::string_view::npos;
    const bool blank = indent == std::string_view::npos || text[indent] == '\n';
    if (tab && !blank) {
      return "line " + std::to_string(line) + " is indented with a tab, YAML wants spaces";
    }
    const auto end = text.find('\n');
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    ++line;
  }
  const bool indentation =
      message == "end of map not found" || message == "end of sequence not found";
  return indentation ? "is this line indented as its neighbours are?" : "";
}

size_t count_nodes(const Node& node) {
  size_t count = 1;
  for (const Node& item : node.items) count += count_nodes(item);
  for (const auto& entry : node.entries) count += count_nodes(entry.value);
  return count;
}

size_t depth_of(const Node& node) {
  size_t deepest = 0;
  for (const Node& item : node.items) deepest = std::max(deepest, depth_of(item));
  for (const auto& entry : node.entries) deepest = std::max(deepest, depth_of(entry.value));
  return deepest + 1;
}

/// Builds the tree. After the first complaint it goes on listening and builds no more.
class Builder : public YAML::EventHandler {
 public:
  [[nodiscard]] const std::optional<std::pair<Mark, std::string>>& complaint() const {
    return complaint_;
  }
  [[nodiscard]] std::optional<Node>& root() { return root_; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    place(make_node(Node::Type::kNull, mark), anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    Node node = make_node(Node::Type::kScalar, mark);
    node.text = value;
    place(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (complaint_) return;
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) return complain(mark_of(mark), "this alias contains itself");
    // Checked before it is copied: nine lines of aliases to aliases are 10^9 nodes.
    if (nodes_ + known->second.nodes > kMaxNodes) return complain(mark_of(mark), too_many());
    if (open_.size() + known->second.depth > kMaxDepth) return complain(mark_of(mark), too_deep());
    nodes_ += known->second.nodes;
    Node copy = known->second.node;
    copy.mark = mark_of(mark);
    attach(std::move(copy));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(Node::Type::kList, mark, tag, anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(Node::Type::kMap, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key = {};
    Mark key_mark = {};
  };
  struct Anchored {
    Node node;
    size_t nodes = 0;
    size_t depth = 0;
  };

  static std::string too_many() {
    return "more than " + std::to_string(kMaxNodes) + " values in one file";
  }
  static std::string too_deep() {
    return "nested more than " + std::to_string(kMaxDepth) + " deep";
  }
  void complain(Mark mark, std::string message) {
    if (!complaint_) complaint_ = {mark, std::move(message)};
  }
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    // "?" is plain and "!" is quoted text; anything else was written by hand.
    if (tag.empty() || tag == "?" || tag == "!") return;
    complain(mark_of(mark), "tags are not understood: " + quote(tag));
  }

  void open(Node::Type type, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    check_tag(mark, tag);
    if (complaint_) return;
    if (open_.size() >= kMaxDepth) return complain(mark_of(mark), too_deep());
    if (++nodes_ > kMaxNodes) return complain(mark_of(mark), too_many());
    open_.push_back({.node = make_node(type, mark), .anchor = anchor});
  }
  void close() {
    if (complaint_) return;
    Open done = std::move(open_.back());
    open_.pop_back();
    remember(done.node, done.anchor);
    attach(std::move(done.node));
  }
  void place(Node node, YAML::anchor_t anchor) {
    if (complaint_) return;
    if (++nodes_ > kMaxNodes) return complain(node.mark, too_many());
    remember(node, anchor);
    attach(std::move(node));
  }
  void remember(const Node& node, YAML::anchor_t anchor) {
    if (anchor == YAML::NullAnchor) return;
    const size_t nodes = count_nodes(node);
    // The anchored copy is memory too.
    if (nodes_ + nodes > kMaxNodes) return complain(node.mark, too_many());
    nodes_ += nodes;
    anchors_[anchor] = {node, nodes, depth_of(node)};
  }
  void attach(Node node) {
    if (complaint_) return;
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.type == Node::Type::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (parent.has_key) {
      parent.node.entries.push_back({std::move(parent.key), parent.key_mark, std::move(node)});
      parent.has_key = false;
    } else if (node.type == Node::Type::kScalar) {
      parent.key = std::move(node.text);
      parent.key_mark = node.mark;
      parent.has_key = true;
    } else {
      complain(node.mark, "a key must be text");
    }
  }

  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  std::optional<Node> root_;
  std::optional<std::pair<Mark, std::string>> complaint_;
  size_t nodes_ = 0;
};

}  // namespace

Result<Node, InputError> parse_document(std::string_view text, const std::string& file) {
  const auto refuse = [&](Mark mark, std::string message, std::string hint = {}) {
    return Fail{InputError{{file, mark.line, mark.column}, std::move(message), std::move(hint)}};
  };
  if (text.size() > kMaxFileBytes) {
    return refuse({}, "the file is larger than " + std::to_string(kMaxFileBytes >> 20) + " MiB");
  }
  if (const auto bad = find_bad_byte(text)) return refuse(bad->first, bad->second);

  ViewBuffer buffer(text);
  std::istream stream(&buffer);
  Builder builder;
  try {
    YAML::Parser parser(stream);
    const bool any = parser.HandleNextDocument(builder);
    if (builder.complaint()) return refuse(builder.complaint()->first, builder.complaint()->second);
    if (!any || !builder.root() || builder.root()->type == Node::Type::kNull) {
      return refuse({1, 1}, "the file is empty", "the least that is valid is \"version: 1\"");
    }
    Builder second;
    if (parser.HandleNextDocument(second)) {
      return refuse(second.root() ? second.root()->mark : Mark{1, 1},
                    "a second document begins here", "one file holds one document");
    }
  } catch (const YAML::Exception& error) {
    const Mark mark = error.mark.is_null() ? Mark{1, 1} : mark_of(error.mark);
    return refuse(mark, "not valid YAML: " + error.msg, syntax_hint(text, error.msg));
  }
  return std::move(*builder.root());
}

}  // namespace sallyport::options
