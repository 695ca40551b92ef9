"""Where Kiln differs from Packer on purpose, and why: a pattern of row names (as a shell's) -> the reason. Rows whose
answer is not even the same for Packer twice belong here, too."""
CRASH = "Packer's fix crashes where a builder has no type"
DIFFERENCES = {
    "sdk-fix/error-duplicate-*": CRASH,
    "sdk-fix/parse-builder-no-type.json": CRASH,
    "build/timeout": "a failed build leaves nothing behind: the artifact of its builder is removed, Packer leaves it",
    "suite/remove-nothing-named": "how a command is used is told in Kiln's own words",
    "hcl-inspect/TestParser_complete/*": "how many locals Packer gets through before it gives up is chance",
    "hcl-clean/TestParser_no_init/working-build-with-imports": "of several versions Packer names any one",
}
