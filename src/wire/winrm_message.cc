#include "wire/winrm_message.h"

#include <fmt/format.h>

#include <cstdlib>
#include <pugixml.hpp>
#include <sstream>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr const char* ns_shell = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
constexpr const char* ns_transfer = "http://schemas.xmlsoap.org/ws/2004/09/transfer";
constexpr const char* anonymous = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous";
constexpr int envelope_size = 153600;  // of answers; what the oldest service takes

pugi::xml_node add(pugi::xml_node parent, const char* name, std::string_view text = {}) {
  pugi::xml_node node = parent.append_child(name);
  if (!text.empty()) node.text().set(std::string(text).c_str());
  return node;
}

pugi::xml_node add_understood(pugi::xml_node parent, const char* name, std::string_view text,
                              bool must = true) {
  pugi::xml_node node = add(parent, name, text);
  node.append_attribute("s:mustUnderstand") = must ? "true" : "false";
  return node;
}

using WinrmOption = std::pair<const char*, const char*>;

/// A request under construction.
class WinrmRequest {
 public:
  WinrmRequest(const WinrmHeader& header, const std::string& action,
               const std::vector<WinrmOption>& options = {}) {
    pugi::xml_node envelope = document_.append_child("s:Envelope");
    for (auto [prefix, uri] : {std::pair("xmlns:s", "http://www.w3.org/2003/05/soap-envelope"),
                               std::pair("xmlns:a", "http://schemas.xmlsoap.org/ws/2004/08/addressing"),
                               std::pair("xmlns:w", "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"),
                               std::pair("xmlns:p", "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"),
                               std::pair("xmlns:rsp", ns_shell)}) {
      envelope.append_attribute(prefix) = uri;
    }
    pugi::xml_node head = add(envelope, "s:Header");
    add(head, "a:To", header.url);
    add_understood(add(head, "a:ReplyTo"), "a:Address", anonymous);
    add_understood(head, "w:MaxEnvelopeSize", std::to_string(envelope_size));
    add(head, "a:MessageID", "uuid:" + header.message_id);
    add_understood(head, "w:Locale", "", false).append_attribute("xml:lang") = "en-US";
    add_understood(head, "p:DataLocale", "", false).append_attribute("xml:lang") = "en-US";
    add(head, "w:OperationTimeout", iso8601_duration(header.operation_timeout));
    add_understood(head, "a:Action", action);
    add_understood(head, "w:ResourceURI", std::string(ns_shell) + "/cmd");
    if (!header.shell.empty()) {
      pugi::xml_node selector = add(add(head, "w:SelectorSet"), "w:Selector", header.shell);
      selector.append_attribute("Name") = "ShellId";
    }
    if (!options.empty()) {
      pugi::xml_node set = add(head, "w:OptionSet");
      for (auto [name, value] : options) add(set, "w:Option", value).append_attribute("Name") = name;
    }
    body_ = add(envelope, "s:Body");
  }

  pugi::xml_node body() { return body_; }
  std::string text() const {
    std::ostringstream out;
    document_.save(out, "", pugi::format_raw, pugi::encoding_utf8);
    return out.str();
  }

 private:
  pugi::xml_document document_;
  pugi::xml_node body_;
};

std::string shell_action(const char* name) { return std::string(ns_shell) + "/" + name; }

/// Prefixes are the server's choice, so names are compared without them.
bool is_named(const pugi::xml_node& node, std::string_view name) {
  std::string_view own = node.name();
  if (auto colon = own.find(':'); colon != own.npos) own.remove_prefix(colon + 1);
  return own == name;
}

pugi::xml_node find_below(const pugi::xml_node& node, std::string_view name) {
  return node.find_node([&](const pugi::xml_node& child) { return is_named(child, name); });
}

WinrmFault read_fault(const pugi::xml_node& body, const pugi::xml_node& fault) {
  WinrmFault out;
  pugi::xml_node detail = find_below(body, "WSManFault");
  out.code = detail.attribute("Code").value();
  pugi::xml_node message = find_below(detail, "Message");
  std::string deep(trim(message.text().get()));
  if (deep.empty() && message) {
    for (pugi::xml_node part = message; part; part = part.first_child()) deep = part.text().get();
  }
  out.text = std::string(trim(find_below(fault, "Text").text().get()));
  if (out.text.empty()) out.text = std::string(trim(deep));
  if (out.text.empty()) out.text = "the service reports a fault";
  return out;
}

struct StreamReader : pugi::xml_tree_walker {
  WinrmAnswer& answer;
  explicit StreamReader(WinrmAnswer& into) : answer(into) {}
  static bool names_shell(const pugi::xml_node& node) {
    bool selects = is_named(node, "Selector") && std::string_view(node.attribute("Name").value()) == "ShellId";
    return selects || is_named(node, "ShellId");
  }
  bool for_each(pugi::xml_node& node) override {
    if (is_named(node, "Stream")) {
      std::string& to =
          std::string_view(node.attribute("Name").value()) == "stderr" ? answer.err : answer.out;
      std::string text(trim(node.text().get()));
      if (!text.empty()) to += base64_decode(text);
    } else if (is_named(node, "CommandState")) {
      answer.done = std::string_view(node.attribute("State").value()).ends_with("/CommandState/Done");
      // Windows' exit codes are unsigned words of 32 bits; people write them as they see them.
      answer.exit_code =
          static_cast<int>(std::strtoll(find_below(node, "ExitCode").text().get(), nullptr, 10));
    } else if (names_shell(node) && answer.shell_id.empty()) {
      answer.shell_id = trim(node.text().get());
    } else if (is_named(node, "CommandId")) {
      answer.command_id = trim(node.text().get());
    }
    return true;
  }
};

}  // namespace

std::string iso8601_duration(std::chrono::seconds duration) {
  int64_t left = std::max<int64_t>(duration.count(), 0);
  std::string out = "PT";
  if (left >= 3600) out += fmt::format("{}H", left / 3600);
  if (left % 3600 >= 60) out += fmt::format("{}M", left % 3600 / 60);
  if (left % 60 != 0 || left == 0) out += fmt::format("{}S", left % 60);
  return out;
}

std::string winrm_create_shell(const WinrmHeader& header) {
  // 65001: the streams are UTF-8.
  WinrmRequest request(header, std::string(ns_transfer) + "/Create",
                       {{"WINRS_NOPROFILE", "FALSE"}, {"WINRS_CODEPAGE", "65001"}});
  pugi::xml_node shell = add(request.body(), "rsp:Shell");
  add(shell, "rsp:InputStreams", "stdin");
  add(shell, "rsp:OutputStreams", "stdout stderr");
  return request.text();
}

std::string winrm_command(const WinrmHeader& header, std::string_view command, bool takes_input) {
  WinrmRequest request(
      header, shell_action("Command"),
      {{"WINRS_CONSOLEMODE_STDIN", takes_input ? "FALSE" : "TRUE"}, {"WINRS_SKIP_CMD_SHELL", "FALSE"}});
  add(add(request.body(), "rsp:CommandLine"), "rsp:Command", command);
  return request.text();
}

std::string winrm_send(const WinrmHeader& header, std::string_view command_id, std::string_view bytes,
                       bool end) {
  WinrmRequest request(header, shell_action("Send"));
  pugi::xml_node stream = add(add(request.body(), "rsp:Send"), "rsp:Stream", base64_encode(bytes));
  stream.append_attribute("Name") = "stdin";
  stream.append_attribute("CommandId") = std::string(command_id).c_str();
  if (end) stream.append_attribute("End") = "true";
  return request.text();
}

std::string winrm_receive(const WinrmHeader& header, std::string_view command_id) {
  WinrmRequest request(header, shell_action("Receive"));
  pugi::xml_node wanted = add(add(request.body(), "rsp:Receive"), "rsp:DesiredStream", "stdout stderr");
  wanted.append_attribute("CommandId") = std::string(command_id).c_str();
  return request.text();
}

std::string winrm_terminate(const WinrmHeader& header, std::string_view command_id) {
  WinrmRequest request(header, shell_action("Signal"));
  pugi::xml_node signal = add(request.body(), "rsp:Signal");
  signal.append_attribute("CommandId") = std::string(command_id).c_str();
  add(signal, "rsp:Code", shell_action("signal/terminate"));
  return request.text();
}

std::string winrm_delete_shell(const WinrmHeader& header) {
  return WinrmRequest(header, std::string(ns_transfer) + "/Delete").text();
}

WinrmAnswer parse_winrm_answer(std::string_view text) {
  pugi::xml_document document;
  pugi::xml_parse_result parsed = document.load_buffer(text.data(), text.size());
  pugi::xml_node body = find_below(document, "Body");
  if (!parsed || !body) {
    throw Error(ErrorKind::remote, fmt::format("the answer is no WinRM message: {}",
                                               parsed ? "it has no body" : parsed.description()));
  }
  WinrmAnswer answer;
  for (pugi::xml_node child : body.children()) {
    if (is_named(child, "Fault")) {
      answer.fault = read_fault(body, child);
      return answer;
    }
  }
  try {
    StreamReader reader(answer);
    body.traverse(reader);
  } catch (const Error& error) {
    throw Error(ErrorKind::remote, "the answer is no WinRM message: " + error.message());
  }
  return answer;
}

}  // namespace kiln
