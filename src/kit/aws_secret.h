// Secrets of AWS Secrets Manager: of the data source, and of the template functions aws_secretsmanager.
#pragma once
#include <string>

#include "wire/aws_client.h"

namespace kiln {

struct AwsSecretName {
  std::string name;  ///< or its ARN
  std::string version_id;
  std::string version_stage;  ///< with neither: AWSCURRENT
};

struct AwsSecret {
  std::string text;
  std::string binary;  ///< base64
  std::string version_id;
};

/// Throws AwsError, Error{user} without credentials.
AwsSecret read_aws_secret(AwsClient& client, const AwsSecretName& name, const Deadline& deadline, const Stop& stop);
/// The value of `key` in a secret that is a JSON object; without a key that of its only one; what is no object is the
/// value itself. Throws Error{user} that names the keys' nearest. Pure.
std::string value_of_aws_secret(const std::string& text, const std::string& key, const std::string& name);

/// What the template functions give: "aws_secretsmanager" (NAME, KEY or none) and "aws_secretsmanager_raw" (NAME), in
/// the environment's region with its credentials. Throws Error.
std::string aws_secret_function(const std::string& function, const std::vector<std::string>& arguments);

}  // namespace kiln
