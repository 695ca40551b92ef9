// The services of AWS that speak JSON, as far as templates read from them: SSM's parameters and Secrets
// Manager's secrets.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "endpoint/action.h"

namespace kiln::ec2 {

/// Answers a call of `target` ("AmazonSSM.GetParameter"), the state's lock held. Throws ApiError with the
/// service's code.
nlohmann::json answer_json(Context& context, const std::string& target, const nlohmann::json& request);

}  // namespace kiln::ec2
