// textencodebase64 textdecodebase64. Names: IANA's registry of character sets, as far as Go knows converters
// for them.
#include <fmt/format.h>
#include <iconv.h>

#include <cerrno>
#include <memory>

#include "base/text.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

struct Charset {
  const char* name;     ///< IANA's own
  const char* iconv;    ///< nullptr: UTF-16 with a byte order mark
  const char* aliases;  ///< in lower case, beside the name
};

constexpr Charset charsets[] = {
    {"Big5", "BIG5-HKSCS", "csbig5"},
    {"EUC-KR", "UHC", "cseuckr"},
    {"Extended_UNIX_Code_Packed_Format_for_Japanese", "EUC-JP", "euc-jp cseucpkdfmtjapanese"},
    {"GB18030", "GB18030", "csgb18030"},
    {"GBK", "GBK", "cp936 csgbk ms936 windows-936"},
    {"IBM00858", "IBM858", "ccsid00858 cp00858 csibm00858 pc-multilingual-850+euro"},
    {"IBM01140", "IBM1140", "ccsid01140 cp01140 csibm01140 ebcdic-us-37+euro"},
    {"IBM037", "IBM037", "cp037 csibm037 ebcdic-cp-ca ebcdic-cp-nl ebcdic-cp-us ebcdic-cp-wt"},
    {"IBM1047", "IBM1047", "csibm1047 ibm-1047"},
    {"IBM437", "IBM437", "437 cp437 cspc8codepage437"},
    {"IBM850", "IBM850", "850 cp850 cspc850multilingual"},
    {"IBM852", "IBM852", "852 cp852 cspcp852"},
    {"IBM855", "IBM855", "855 cp855 csibm855"},
    {"IBM860", "IBM860", "860 cp860 csibm860"},
    {"IBM862", "IBM862", "862 cp862 cspc862latinhebrew"},
    {"IBM863", "IBM863", "863 cp863 csibm863"},
    {"IBM865", "IBM865", "865 cp865 csibm865"},
    {"IBM866", "IBM866", "866 cp866 csibm866"},
    {"ISO-2022-JP", "ISO-2022-JP", "csiso2022jp"},
    {"ISO-8859-10", "ISO-8859-10", "csisolatin6 iso-ir-157 iso_8859-10:1992 l6 latin6"},
    {"ISO-8859-13", "ISO-8859-13", "csiso885913"},
    {"ISO-8859-14", "ISO-8859-14",
     "csiso885914 iso-celtic iso-ir-199 iso_8859-14 iso_8859-14:1998 l8 latin8"},
    {"ISO-8859-15", "ISO-8859-15", "csiso885915 iso_8859-15 latin-9"},
    {"ISO-8859-16", "ISO-8859-16", "csiso885916 iso-ir-226 iso_8859-16 iso_8859-16:2001 l10 latin10"},
    {"ISO_8859-1:1987", "ISO-8859-1", "cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso_8859-1 l1 latin1"},
    {"ISO_8859-2:1987", "ISO-8859-2", "csisolatin2 iso-8859-2 iso-ir-101 iso_8859-2 l2 latin2"},
    {"ISO_8859-3:1988", "ISO-8859-3", "csisolatin3 iso-8859-3 iso-ir-109 iso_8859-3 l3 latin3"},
    {"ISO_8859-4:1988", "ISO-8859-4", "csisolatin4 iso-8859-4 iso-ir-110 iso_8859-4 l4 latin4"},
    {"ISO_8859-5:1988", "ISO-8859-5", "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso_8859-5"},
    {"ISO_8859-6-E", "ISO-8859-6", "csiso88596e iso-8859-6-e"},
    {"ISO_8859-6-I", "ISO-8859-6", "csiso88596i iso-8859-6-i"},
    {"ISO_8859-6:1987", "ISO-8859-6",
     "arabic asmo-708 csisolatinarabic ecma-114 iso-8859-6 iso-ir-127 iso_8859-6"},
    {"ISO_8859-7:1987", "ISO-8859-7",
     "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso_8859-7"},
    {"ISO_8859-8-E", "ISO-8859-8", "csiso88598e iso-8859-8-e"},
    {"ISO_8859-8-I", "ISO-8859-8", "csiso88598i iso-8859-8-i"},
    {"ISO_8859-8:1988", "ISO-8859-8", "csisolatinhebrew hebrew iso-8859-8 iso-ir-138 iso_8859-8"},
    {"ISO_8859-9:1989", "ISO-8859-9", "csisolatin5 iso-8859-9 iso-ir-148 iso_8859-9 l5 latin5"},
    {"KOI8-R", "KOI8-R", "cskoi8r"},
    {"KOI8-U", "KOI8-U", "cskoi8u"},
    {"Shift_JIS", "CP932", "csshiftjis ms_kanji"},
    {"US-ASCII", "ASCII",
     "ansi_x3.4-1968 ansi_x3.4-1986 cp367 csascii ibm367 iso-ir-6 iso646-us iso_646.irv:1991 us"},
    {"UTF-16", nullptr, "csutf16"},
    {"UTF-16BE", "UTF-16BE", "csutf16be"},
    {"UTF-16LE", "UTF-16LE", "csutf16le"},
    {"UTF-8", "UTF-8", "csutf8"},
    {"macintosh", "MACINTOSH", "csmacintosh mac"},
    {"windows-1250", "CP1250", "cswindows1250"},
    {"windows-1251", "CP1251", "cswindows1251"},
    {"windows-1252", "CP1252", "cswindows1252"},
    {"windows-1253", "CP1253", "cswindows1253"},
    {"windows-1254", "CP1254", "cswindows1254"},
    {"windows-1255", "CP1255", "cswindows1255"},
    {"windows-1256", "CP1256", "cswindows1256"},
    {"windows-1257", "CP1257", "cswindows1257"},
    {"windows-1258", "CP1258", "cswindows1258"},
    {"windows-874", "CP874", "cswindows874"},
};

const Charset& find_charset(const std::string& name) {
  std::string wanted = lower(trim_go_space(name));
  for (const auto& charset : charsets) {
    if (lower(charset.name) == wanted) return charset;
    for (const auto& alias : split(charset.aliases, ' ')) {
      if (alias == wanted) return charset;
    }
  }
  fail(fmt::format("{} is not a supported IANA encoding name or alias", go_quote(name)), 1);
}

/// nullopt when something cannot be converted.
std::optional<std::string> convert_charset(const char* from, const char* to, std::string_view text) {
  iconv_t converter = iconv_open(to, from);
  if (converter == reinterpret_cast<iconv_t>(-1)) {  // NOLINT
    fail(fmt::format("this machine has no converter from {} to {}", from, to), 1);
  }
  std::unique_ptr<void, int (*)(iconv_t)> closer(converter, iconv_close);
  std::string out;
  char* in = const_cast<char*>(text.data());
  size_t left = text.size();
  for (bool flushing = false;;) {
    char buffer[4096];
    char* end = buffer;
    size_t room = sizeof buffer;
    size_t result = iconv(converter, flushing ? nullptr : &in, &left, &end, &room);
    out.append(buffer, static_cast<size_t>(end - buffer));
    check_text(out.size());
    if (result == static_cast<size_t>(-1)) {
      if (errno != E2BIG) return {};
    } else if (flushing) {
      return out;
    } else {
      flushing = true;  // what switches back to the first state (ISO-2022-JP) is still to come
    }
  }
}

HclValue text_encode(const Arguments& arguments, const HclType&, const HclHost&) {
  const Charset& charset = find_charset(arguments[1].as_string());
  auto bytes = convert_charset("UTF-8", charset.iconv ? charset.iconv : "UTF-16BE", arguments[0].as_string());
  if (!bytes) {
    fail(fmt::format("the given string contains characters that cannot be represented in {}", charset.name),
         0);
  }
  return HclValue::string(base64_encode(charset.iconv ? *bytes : "\xfe\xff" + *bytes));
}

HclValue text_decode(const Arguments& arguments, const HclType&, const HclHost&) {
  const Charset& charset = find_charset(arguments[1].as_string());
  size_t bad = 0;
  auto bytes = go_base64_decode(arguments[0].as_string(), &bad);
  if (!bytes) fail(fmt::format("the given value is has an invalid base64 symbol at offset {}", bad), 0);
  std::string_view rest = *bytes;
  const char* from = charset.iconv;
  if (!from) {
    from = rest.starts_with("\xff\xfe") ? "UTF-16LE" : "UTF-16BE";
    if (rest.starts_with("\xff\xfe") || rest.starts_with("\xfe\xff")) rest.remove_prefix(2);
  }
  auto text = convert_charset(from, "UTF-8", rest);
  if (!text || contains(*text, "\xef\xbf\xbd")) {
    fail(fmt::format("the given string contains symbols that are not defined for {}", charset.name), 0);
  }
  return HclValue::string(*text);
}

}  // namespace

void add_charset(HclFunctionTable& table) {
  table["textencodebase64"] =
      function("Encodes a text in a named character set, and the result as base64.",
               {text("string"), text("encoding")}, always(HclType::string()), text_encode);
  table["textdecodebase64"] =
      function("Decodes base64 that holds a text in a named character set.",
               {text("source"), text("encoding")}, always(HclType::string()), text_decode);
}

}  // namespace kiln::hcl_fn
