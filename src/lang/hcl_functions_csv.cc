// csvdecode. Source: Go's documentation of encoding/csv, RFC 4180.
#include <fmt/format.h>

#include "base/text.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

using CsvRecord = std::vector<std::string>;

class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : rest_(text) {}

  /// The next record that is no empty line; nullopt at the end.
  std::optional<CsvRecord> record() {
    do {
      line_ = take_line();
    } while (line_ == "\n");
    if (line_.empty()) return {};
    record_line_ = line_number_;
    CsvRecord out;
    while (field(out)) {
    }
    return out;
  }
  [[noreturn]] void complain(size_t line, std::string_view what) {
    fail(fmt::format("CSV parse error on line {}: {}", line, what));
  }
  size_t record_line() const { return record_line_; }

 private:
  /// With its line end, as "\n"; empty at the end of the text.
  std::string take_line() {
    if (rest_.empty()) return {};
    ++line_number_;
    size_t end = rest_.find('\n');
    std::string line(rest_.substr(0, end == std::string_view::npos ? end : end + 1));
    rest_.remove_prefix(line.size());
    if (line.ends_with("\r\n"))
      line.replace(line.size() - 2, 2, "\n");
    else if (line.ends_with('\r') && rest_.empty())
      line.pop_back();
    if (line.empty()) --line_number_;
    return line;
  }

  /// Takes a field off the line; false when it was the last one.
  bool field(CsvRecord& out) {
    if (!line_.starts_with('"')) {
      size_t comma = line_.find(',');
      std::string text = line_.substr(0, comma);
      if (comma == std::string::npos && text.ends_with('\n')) text.pop_back();
      if (text.find('"') != std::string::npos) complain(line_number_, "bare \" in non-quoted-field");
      out.push_back(std::move(text));
      if (comma == std::string::npos) return false;
      line_.erase(0, comma + 1);
      return true;
    }
    line_.erase(0, 1);
    std::string text;
    while (true) {
      size_t quote = line_.find('"');
      if (quote == std::string::npos) {
        if (line_.empty()) complain(line_number_, "extraneous or missing \" in quoted-field");
        text += line_;
        line_ = take_line();
        continue;
      }
      text += line_.substr(0, quote);
      line_.erase(0, quote + 1);
      if (line_.starts_with('"')) {
        text += '"';
        line_.erase(0, 1);
      } else if (line_.starts_with(',')) {
        line_.erase(0, 1);
        out.push_back(std::move(text));
        return true;
      } else if (line_.empty() || line_ == "\n") {
        out.push_back(std::move(text));
        return false;
      } else {
        complain(line_number_, "extraneous or missing \" in quoted-field");
      }
    }
  }

  std::string_view rest_;
  std::string line_;
  size_t line_number_ = 0;
  size_t record_line_ = 0;
};

HclValue csv_decode(const Arguments& arguments, const HclType&, const HclHost&) {
  CsvReader reader(arguments[0].as_string());
  auto headers = reader.record();
  if (!headers) fail("missing header line");
  HclType::Attributes attributes;
  for (const auto& name : *headers) {
    if (!attributes.emplace(name, HclType::string()).second) fail("duplicate column name " + go_quote(name));
  }
  HclValue::Items rows;
  size_t cells = 0;
  while (auto record = reader.record()) {
    if (record->size() != headers->size()) reader.complain(reader.record_line(), "wrong number of fields");
    check_items(cells += record->size());
    HclValue::Members members;
    for (size_t i = 0; i < record->size(); ++i) members[(*headers)[i]] = HclValue::string((*record)[i]);
    rows.push_back(HclValue::object(std::move(members)));
  }
  HclType row = rows.empty() ? HclType::object(std::move(attributes)) : rows[0].type();
  return HclValue::list(row, std::move(rows));
}

}  // namespace

void add_csv(HclFunctionTable& table) {
  table["csvdecode"] = function("Reads a CSV text to a list of objects; the first line names the attributes.",
                                {text("str")}, always(HclType::dynamic()), csv_decode);
}

}  // namespace kiln::hcl_fn
