// The two Ruby files that rspec loads for us.
#pragma once

namespace kiln {

/// A formatter: one line a finished example, "@NONCE " and JSON, as it comes; NONCE is in KILN_NONCE. An example's
/// members: status, group, name, message, command, file, line, seconds. What happened outside of examples: "outside".
/// The last line has "done".
extern const char* const rspec_formatter;

/// Makes serverspec look at the machine under test. KILN_TARGET says how: "ssh" (KILN_SSH_HOST, _PORT, _USER, _KEY,
/// _PASSWORD, KILN_SUDO) or "exec". What a spec_helper sets afterwards stays, but for the backends ssh and exec: the
/// machine decides between them.
extern const char* const rspec_preamble;

}  // namespace kiln
