// The template functions that read a secret store: vault, consul_key, aws_secretsmanager,
// aws_secretsmanager_raw.
#pragma once
#include <string>
#include <vector>

#include "base/wait.h"

namespace kiln {

/// The value of `key` in a secret of Vault's key-value engine, version 2 or 1. Where and who, as Vault's own
/// programs take it: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT,
/// VAULT_CLIENT_KEY, VAULT_SKIP_VERIFY. A value that is no string is given as JSON. Throws Error with the
/// texts of Packer's SDK.
std::string read_vault_secret(const std::string& path, const std::string& key, const Stop& stop);

/// The value of a key of Consul, which may not be empty. CONSUL_HTTP_ADDR ("host:port", an URL,
/// "unix:///path"), CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE, CONSUL_HTTP_AUTH, CONSUL_HTTP_SSL,
/// CONSUL_HTTP_SSL_VERIFY, CONSUL_CACERT, CONSUL_CAPATH, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY,
/// CONSUL_NAMESPACE, CONSUL_PARTITION. Throws Error likewise.
std::string read_consul_key(const std::string& key, const Stop& stop);

/// What a call of the function that is named gives. Throws Error; that a function is none of these is a bug.
std::string secret_function(const std::string& function, const std::vector<std::string>& arguments);

}  // namespace kiln
