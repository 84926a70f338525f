// Command ndock-runtime is what Docker Engine calls in runc's place for servers, and what runc calls as their hooks. ndock can
// do that too, but takes several times as long to start and as much memory, and each boot starts it three to five times. ndock
// has this program in it, and setup installs it.
package main

import (
	"fmt"
	"os"
	"strings"

	"ndock/docker/ociruntime"
)

func main() {
	if err := ociruntime.Main(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "ndock:", strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}
