#include "operator/kube/testing/selector.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "operator/kube/fields.h"

namespace millrace::kube::testing {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// Splits at commas that stand outside of parentheses.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    depth += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
    if (text[at] != ',' || depth > 0) continue;
    parts.push_back(trim(text.substr(begin, at - begin)));
    begin = at + 1;
  }
  parts.push_back(trim(text.substr(begin)));
  return parts;
}

struct Comparison {
  std::string_view left;
  std::string_view right;
  bool equal = true;
};

std::optional<Comparison> comparison(std::string_view term) {
  const std::size_t at = term.find('=');
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  if (term[at - 1] == '!')
    return Comparison{trim(term.substr(0, at - 1)), trim(term.substr(at + 1)), false};
  const std::size_t skip = at + 1 < term.size() && term[at + 1] == '=' ? 2 : 1;
  return Comparison{trim(term.substr(0, at)), trim(term.substr(at + skip)), true};
}

bool matches_set(const Json& object, std::string_view term) {
  const std::size_t open = term.find('(');
  const std::string_view list = term.substr(open + 1, term.rfind(')') - open - 1);
  const std::string_view head = trim(term.substr(0, open));
  const std::size_t space = head.find(' ');
  const bool wanted = trim(head.substr(space)) == "in";
  const auto value = label_of(object, head.substr(0, space));
  const auto values = split(list);
  const bool is_in = value && std::find(values.begin(), values.end(), *value) != values.end();
  return is_in == wanted;
}

bool matches_label(const Json& object, std::string_view term) {
  if (term.find('(') != std::string_view::npos) return matches_set(object, term);
  if (const auto compared = comparison(term)) {
    const auto value = label_of(object, compared->left);
    return (value == std::optional<std::string>(compared->right)) == compared->equal;
  }
  if (term.front() == '!') return !label_of(object, trim(term.substr(1)));
  return label_of(object, term).has_value();
}

std::string dotted(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (!path.empty()) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    at = find(*at, {path.substr(0, dot)});
    if (at == nullptr) return {};
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return at->is_string() ? at->get<std::string>() : compact(*at);
}

}  // namespace

bool matches_labels(const Json& object, std::string_view selector) {
  if (trim(selector).empty()) return true;
  const auto terms = split(selector);
  return std::all_of(terms.begin(), terms.end(),
                     [&](std::string_view term) { return matches_label(object, term); });
}

bool matches_fields(const Json& object, std::string_view selector) {
  if (trim(selector).empty()) return true;
  const auto terms = split(selector);
  return std::all_of(terms.begin(), terms.end(), [&](std::string_view term) {
    const auto compared = comparison(term);
    return compared && (dotted(object, compared->left) == compared->right) == compared->equal;
  });
}

}  // namespace millrace::kube::testing
