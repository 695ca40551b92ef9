// What Kiln uses of libssh, opened at the first call: base/lazy_library.h.
#pragma once
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>

#include "base/lazy_library.h"

namespace kiln {

inline constexpr LazyLibrary lazy_ssh{"libssh.so.4", "libssh-4"};
KILN_LAZY_FUNCTION(lazy_ssh, ssh_add_channel_callbacks);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_free);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_is_closed);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_is_eof);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_listen_forward);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_new);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_open_forward);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_open_forward_port);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_open_session);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_read_nonblocking);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_request_auth_agent);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_request_exec);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_request_pty_size);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_request_subsystem);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_send_eof);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_window_size);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_channel_write);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_clean_pubkey_hash);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_connect);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_disconnect);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_event_add_session);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_event_dopoll);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_event_free);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_event_new);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_event_remove_session);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_free);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_cipher_out);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_error);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_fingerprint_hash);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_kex_algo);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_publickey_hash);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_serverbanner);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_get_status);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_is_connected);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_key_dup);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_key_free);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_key_type);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_key_type_to_char);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_new);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_options_set);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_copy_cert_to_privkey);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_export_privkey_base64);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_export_pubkey_base64);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_generate);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_import_cert_file);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_import_privkey_base64);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_pki_key_ecdsa_name);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_remove_channel_callbacks);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_send_keepalive);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_set_blocking);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_set_callbacks);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_set_counters);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_string_free_char);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_agent);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_kbdint);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_kbdint_getnprompts);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_kbdint_getprompt);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_kbdint_setanswer);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_list);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_none);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_password);
KILN_LAZY_FUNCTION(lazy_ssh, ssh_userauth_publickey);

}  // namespace kiln
