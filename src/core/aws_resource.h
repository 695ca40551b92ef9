// Things made in AWS: how they are written into the journal, found again, and removed.
#pragma once
#include <optional>
#include <string>

#include "core/journal.h"
#include "wire/aws_client.h"

namespace kiln {

enum class AwsThing {
  instance,          ///< found by its tag
  image,             ///< with its snapshots; found by its tag
  snapshot,          ///< by its tag
  volume,            ///< by its tag
  launch_template,   ///< by its name
  key_pair,          ///< by its name
  security_group,    ///< by its name
  instance_profile,  ///< by its name; with its roles taken out
  role,              ///< by its name; with its inline policies
  s3_object,         ///< "BUCKET/KEY"
  import_task,       ///< with the image it has made; by its tag
};

/// Where a thing is, and how to get at it again. Never keys: those of the environment are used, or the profile's.
struct AwsResource {
  AwsThing thing = AwsThing::instance;
  std::string region;
  std::string name;      ///< of those that are found by it
  std::string endpoint;  ///< where its service was asked instead of at AWS; empty: at AWS
  std::string profile;
  std::string shared_credentials_file;
};

std::string_view to_string(AwsThing thing);  ///< "security-group"
/// The service that has it: "ec2", "iam", "s3".
std::string aws_service_of(AwsThing thing);
/// What stands in the journal: "security-group us-east-1 packer_1234 endpoint=http://127.0.0.1:5000". Pure.
std::string aws_resource_text(const AwsResource& resource);
/// nullopt when it is none: made by a later Kiln.
std::optional<AwsResource> parse_aws_resource(std::string_view text);

/// The tag that everything made for a journal's entry has: its key and value ("RUN/TOKEN").
inline constexpr const char* aws_run_tag = "kiln:run";
std::string aws_run_tag_value(const Resource& entry);

/// Removes what the entry stands for, and waits until it is gone where others depend on it. Idempotent: what is not
/// there is removed. Throws Error when it cannot.
void remove_aws_thing(AwsClient& client, const AwsResource& resource, const std::string& tag_value,
                      const Deadline& deadline, const Stop& stop);
/// Deregisters an image and deletes its snapshots; one that is gone is no error.
void remove_aws_image(AwsClient& client, const std::string& image_id, const std::string& region,
                      const Deadline& deadline, const Stop& stop);
/// Calls `action` until nothing depends on the thing any more; one that is gone is no error.
void delete_aws_dependent(AwsClient& client, const std::string& action, const AwsParameters& parameters,
                          const std::string& region, const Deadline& deadline, const Stop& stop);

/// Where to ask for it: where it was made and nowhere else, for what is not at AWS_ENDPOINT_URL may well be at AWS, and
/// cost money. Only an endpoint on this machine may have come up again at another port. Empty: AWS. Pure.
std::string aws_endpoint_to_ask(const AwsResource& resource, const AwsEnvironment& env);
/// Removes the thing of an entry whose run is gone, with the credentials of the environment (or of the profile).
void remove_aws_resource(const Resource& entry);

}  // namespace kiln
