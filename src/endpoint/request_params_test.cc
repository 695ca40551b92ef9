#include "endpoint/request_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "endpoint/api_error.h"

namespace kiln::ec2 {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const ApiError& error) {
    return error.code();
  }
  return "";
}

TEST(Params, ListsAreInTheOrderOfTheirNumbers) {
  Params params = Params::parse("InstanceId.10=c&InstanceId.2=b&InstanceId.1=a&Action=DescribeInstances");
  EXPECT_THAT(params.list("InstanceId"), ElementsAre("a", "b", "c"));
  EXPECT_EQ(params.text("Action"), "DescribeInstances");
}

TEST(Params, StructuresWithinLists) {
  Params params =
      Params::parse("Filter.1.Name=name&Filter.1.Value.1=a%20b&Filter.1.Value.2=c+d&Filter.2.Name=state");
  auto filters = params.items("Filter");
  ASSERT_EQ(filters.size(), 2u);
  EXPECT_THAT(filters[0]->list("Value"), ElementsAre("a b", "c d"));
  EXPECT_EQ(filters[1]->text("Name"), "state");
  EXPECT_EQ(params.text("Filter.1.Value.2"), "c d");
}

TEST(Params, EmptyIsAbsent) {
  Params params = Params::parse("VpcId=&SubnetId&KeyName=k");
  EXPECT_FALSE(params.has("VpcId"));
  EXPECT_FALSE(params.has("SubnetId"));
  EXPECT_EQ(code_of([&] { params.required("VpcId"); }), "MissingParameter");
}

TEST(Params, MemberListsOfOtherServices) {
  EXPECT_THAT(Params::parse("PolicyArns.member.1=a&PolicyArns.member.2=b").list("PolicyArns"),
              ElementsAre("a", "b"));
}

TEST(Params, BooleansAndNumbersAreChecked) {
  Params params = Params::parse("A=true&B=FALSE&C=maybe&N=12&M=1x&H=99999999999999999999");
  EXPECT_EQ(params.boolean("A"), true);
  EXPECT_EQ(params.boolean("B"), false);
  EXPECT_EQ(params.boolean("Z"), std::nullopt);
  EXPECT_EQ(code_of([&] { params.boolean("C"); }), "InvalidParameterValue");
  EXPECT_EQ(params.number("N"), 12);
  EXPECT_EQ(code_of([&] { params.number("M"); }), "InvalidParameterValue");
  EXPECT_EQ(code_of([&] { params.number("H"); }), "InvalidParameterValue");
}

TEST(Params, RefusesWhatIsTooDeepTooLongOrNoText) {
  EXPECT_EQ(code_of([] { Params::parse("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r=1"); }), "MalformedQueryString");
  EXPECT_EQ(code_of([] { Params::parse(std::string(1000, 'n') + "=1"); }), "MalformedQueryString");
  EXPECT_EQ(code_of([] { Params::parse("a=%ff"); }), "MalformedQueryString");
  for (const char* form : {"=1", ".=1", "a..b=1", "a.=1"}) {
    EXPECT_EQ(code_of([&] { Params::parse(form); }), "MalformedQueryString") << form;
  }
  EXPECT_THAT(Params::parse("&&&").members(), IsEmpty());
}

TEST(Params, FormReadsBackAndMerges) {
  Params params = Params::parse("B.2=x%26y&A=1&B.1=%C3%BC");
  EXPECT_EQ(params.form(), "A=1&B.1=%C3%BC&B.2=x%26y");
  Params over = Params::parse("A=2&C=3");
  params.merge(over);
  EXPECT_EQ(params.form(), "A=2&B.1=%C3%BC&B.2=x%26y&C=3");
}

}  // namespace
}  // namespace kiln::ec2
