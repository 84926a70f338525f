// ndock makes Docker a first-class hypervisor of OpenStack.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ndock/commands"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a clean-up that hangs
	os.Exit(commands.Run(ctx, commands.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Args))
}
