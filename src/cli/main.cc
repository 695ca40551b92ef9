#include "cli/program.h"

int main(int argc, char** argv) { return kiln::run_program({argv, argv + argc}); }
