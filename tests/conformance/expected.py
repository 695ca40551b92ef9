"""Where Kiln differs from Packer on purpose, and why: a pattern of row names (as a shell's) -> the reason. Rows whose
answer is not even the same for Packer twice belong here, too."""
CRASH = "Packer's fix crashes where a builder has no type"
PLACE = "Kiln also shows the place, which Packer does not have here"
ONCE = "Kiln tells a mistake once, not again what follows from it"
HCP = "Kiln has no data sources for HCP, which Packer lists"
AMAZON = "Packer has the amazon components as a plug-in, Kiln in itself"
DIFFERENCES = {
    "sdk-fix/error-duplicate-*": CRASH,
    "sdk-fix/parse-builder-no-type.json": CRASH,
    "build/timeout": "a failed build leaves nothing behind: the artifact of its builder is removed, Packer leaves it",
    "suite/remove-nothing-named": "how a command is used is told in Kiln's own words",
    "hcl-inspect/TestParser_complete/*": "how many locals Packer gets through before it gives up is chance",
    "hcl-clean/TestParser_no_init/working-build-with-imports": "of several versions Packer names any one",
    "validate/wrong_pause_before": PLACE,
    "validate/file-undeclared*": PLACE,
    "validate/warns-undeclared*": PLACE,
    "hcl-clean/TestParse_variables/unknown-variable-from-var-file": PLACE,
    "hcl-clean-syntax/TestParse_variables/unknown-variable-from-var-file": PLACE,
    "variables-validate/undefined-but-set-value---pkrvar-file---*": PLACE,
    "validate/except-hcl-other": "Packer does not count the post-processors of a build whose source is wrong",
    "suite/malformed-data-build-true": "the machine's own words about a name it cannot look up",
    "suite/mixed-order-*-sequential": ONCE,
    "hcl-wrong/TestParse_variables/unset-used-variable": ONCE,
    "hcl-clean/TestParse_datasource/two-basic-datasources": HCP,
    "hcl-wrong/TestParse_datasource/nonexistent-source": HCP,
    "hcl-clean/TestParser_complete/working-build": HCP,
    "hcl-wrong/TestParse_build/basic-build-no-src": AMAZON,
    "hcl-wrong/TestParse_build/named-build": AMAZON,
    "hcl-clean/TestParse_build/post-processor-with-only-and-except": AMAZON,
    "hcl-clean/TestParse_build/provisioner-with-only-and-except": AMAZON,
    "required-plugins/required_plugin": AMAZON,
}
