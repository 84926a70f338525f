// ndock makes Docker a first-class hypervisor of OpenStack.
package main

import (
	"os"

	"ndock/commands"
)

func main() {
	os.Exit(commands.Main())
}
