#include "wire/aws_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace kiln {

namespace {

constexpr auto answer_limit = std::chrono::seconds(60);
constexpr double lowest_rate = 0.5;
constexpr int turns_saved = 10;  ///< by not asking: a single build need not wait between two requests

double random_fraction() {
  std::string bytes = random_bytes(4);
  uint32_t number = 0;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number / 4294967296.0;
}

bool is_worth_retrying(AwsFailure failure) {
  return failure == AwsFailure::throttled || failure == AwsFailure::transient;
}

bool says_expired(const std::string& code) {
  return code == "ExpiredToken" || code == "ExpiredTokenException" || code == "RequestExpired";
}

}  // namespace

AwsPace::AwsPace(double per_second) : highest_(per_second), state_(State{per_second, Clock::time_point::min()}) {}

void AwsPace::wait_turn(const Deadline& deadline, const Stop& stop) {
  auto turn = state_.with([](State& state) {
    auto distance = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / state.rate));
    auto now = Clock::now();
    state.next = std::max(state.next, now - distance * turns_saved);
    auto mine = std::max(state.next, now);
    state.next += distance;
    auto most = static_cast<size_t>(std::max(1.0, state.rate));
    while (state.given.size() > most) state.given.pop_front();
    if (state.given.size() == most) {
      if (auto a_second_later = state.given.front() + std::chrono::seconds(1); a_second_later > mine) {
        mine = a_second_later;
        state.next = mine + distance;
      }
      state.given.pop_front();
    }
    state.given.push_back(mine);
    return mine;
  });
  auto now = Clock::now();
  if (turn <= now) return;
  if (turn > deadline.at()) throw Error(ErrorKind::timeout, "too many requests are waiting for their turn");
  sleep_for(turn - now, stop);
}

void AwsPace::slow_down() {
  state_.with([](State& state) { state.rate = std::max(lowest_rate, state.rate / 2); });
}

void AwsPace::went_well() {
  state_.with([this](State& state) { state.rate = std::min(highest_, state.rate * 1.01); });
}

double AwsPace::per_second() const {
  return state_.with([](const State& state) { return state.rate; });
}

std::shared_ptr<AwsPace> AwsPaces::of(const std::string& account_key) {
  return paces_.with([&](auto& paces) {
    auto& pace = paces[account_key];
    if (!pace) pace = std::make_shared<AwsPace>(per_second_);
    return pace;
  });
}

Millis aws_retry_pause(int attempt, AwsFailure failure) {
  double bound = (failure == AwsFailure::throttled ? 500.0 : 200.0) * static_cast<double>(1 << std::min(attempt, 6));
  return Millis(static_cast<int64_t>(std::min(bound, 20000.0) * (0.5 + random_fraction() / 2)));
}

AwsClient::AwsClient(AwsSettings settings)
    : settings_(std::move(settings)),
      sender_(settings_.endpoints, settings_.insecure),
      chain_(settings_.credentials, sender_) {}

AwsPace* AwsClient::pace_for(const std::string& access_key, const std::string& region) {
  if (!settings_.paces) return nullptr;
  std::string key = fmt::format("{} {} {}", access_key, region, settings_.endpoints.custom);
  auto& pace = paces_[key];
  if (!pace) pace = settings_.paces->of(key);
  return pace.get();
}

AwsError AwsClient::decoded(const AwsError& error, const Deadline& deadline, const Stop& stop) {
  constexpr std::string_view mark = "Encoded authorization failure message: ";
  size_t at = error.message().find(mark);
  if (at == std::string::npos) return error;
  std::string encoded = error.message().substr(at + mark.size());
  encoded.resize(std::min(encoded.find_first_of(" \n\t"), encoded.size()));
  try {
    AwsCall ask = aws_query_call("sts", settings_.region, "DecodeAuthorizationMessage", {{"EncodedMessage", encoded}});
    AwsHttpReply reply = sender_.send(ask, chain_.get(deadline, stop).keys, deadline.at_most(answer_limit), stop);
    std::string text = parse_aws_xml(reply.body).text_at("DecodeAuthorizationMessageResult/DecodedMessage");
    return AwsError(error.failure(), error.code(),
                    replace_all(error.message(), std::string(mark) + encoded, "Authorization failure message: " + text),
                    error.status());
  } catch (const Error& other) {
    if (other.kind() == ErrorKind::cancelled) throw;
    return AwsError(error.failure(), error.code(), error.message() + "\n\tit cannot be decoded: " + other.message(),
                    error.status());
  }
}

AwsHttpReply AwsClient::call(const AwsCall& call, const Deadline& deadline, const Stop& stop) {
  bool renewed = false;
  for (int attempt = 0;; ++attempt) {
    AwsKeys keys = chain_.get(deadline, stop).keys;
    AwsPace* pace = pace_for(keys.access_key, call.region);
    if (pace != nullptr) pace->wait_turn(deadline, stop);
    try {
      AwsHttpReply reply = sender_.send(call, keys, deadline.at_most(answer_limit), stop);
      if (pace != nullptr) pace->went_well();
      return reply;
    } catch (const AwsError& error) {
      if (says_expired(error.code()) && !renewed) {
        renewed = true;
        chain_.forget();
        continue;
      }
      if (settings_.decode_authorization_messages && error.code() == "UnauthorizedOperation")
        throw decoded(error, deadline, stop);
      if (error.failure() == AwsFailure::throttled && pace != nullptr) pace->slow_down();
      if (!is_worth_retrying(error.failure()) || attempt >= settings_.max_retries) throw;
      Millis pause = aws_retry_pause(attempt, error.failure());
      if (pause > deadline.left()) throw;
      sleep_for(pause, stop);
    } catch (const Error& error) {
      // No answer within the limit of one try is like none at all, as long as the caller's own time is not over.
      if (error.kind() != ErrorKind::timeout || deadline.passed() || attempt >= settings_.max_retries) throw;
    }
  }
}

AwsElement AwsClient::query(const std::string& service, const std::string& action, const AwsParameters& parameters,
                            const Deadline& deadline, const Stop& stop, const std::string& region) {
  AwsHttpReply reply =
      call(aws_query_call(service, region.empty() ? settings_.region : region, action, parameters), deadline, stop);
  return during(action, [&] { return parse_aws_xml(reply.body); });
}

AwsElement AwsClient::query_once(const std::string& service, const std::string& action, const AwsParameters& parameters,
                                 const Deadline& deadline, const Stop& stop) {
  AwsKeys keys = chain_.get(deadline, stop).keys;
  AwsHttpReply reply =
      sender_.send(aws_query_call(service, settings_.region, action, parameters), keys, deadline, stop);
  return parse_aws_xml(reply.body);
}

nlohmann::json AwsClient::json(const std::string& service, const std::string& action, const nlohmann::json& input,
                               const Deadline& deadline, const Stop& stop, const std::string& region) {
  AwsHttpReply reply =
      call(aws_json_call(service, region.empty() ? settings_.region : region, action, input), deadline, stop);
  auto body = nlohmann::json::parse(reply.body.empty() ? "{}" : reply.body, nullptr, false);
  if (!body.is_object()) throw Error(ErrorKind::remote, action + ": the answer is not JSON");
  return body;
}

}  // namespace kiln
