package commands

import "runtime/debug"

// built is the version that the linker is told by the Makefile, and dated the day of its commit.
var built, dated string

// version is that of the build: the Makefile's, or the module's where `go install` made it.
func version() string {
	if built != "" {
		return built
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
