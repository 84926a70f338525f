package commands

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/growing"
	"ndock/docker/transfer"
	"ndock/openstack"
)

func logsCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "logs",
		Usage:     "Print the console output of a server",
		ArgsUsage: "SERVER",
		Description: "The output is exact, but for a terminal: there, control characters are shown (\\x1b), because what a server\n" +
			"writes could act on the terminal. A pager such as 'less -R' shows its colours.\n\n" +
			examples(
				"ndock logs --tail 20 web",
				"ndock logs -f web",
				"ndock logs web | less -R"),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "tail", Aliases: []string{"n"}, Usage: "`NUMBER` of lines to show from the end", DefaultText: "all"},
			&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with what the server writes, until it stops"},
		},
		Action: func(c *cli.Context) error { return logs(c, s) },
	}
}

func logs(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SERVER")
	if err != nil {
		return err
	}
	if c.Int("tail") < 0 {
		return misused(c, "--tail %d is no number of lines", c.Int("tail"))
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	if c.Bool("follow") {
		return followLogs(c, s, cloud, args[0])
	}
	text, err := cloud.Console(c.Context, args[0], c.Int("tail"))
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.Out, text)
	return err
}

// followInterval is how often Nova, which tells nobody of new output, is asked for it.
const followInterval = time.Second

// followMisses is how often in a row Nova may have no log for us: a server that goes down or comes up has none.
const followMisses = 30

// followLogs prints what a server writes, until it stops, is deleted, or the user has enough.
func followLogs(c *cli.Context, s Streams, cloud *openstack.Cloud, name string) error {
	server, err := cloud.Server(c.Context, name)
	if err != nil {
		return err
	}
	f := follower{cloud: cloud, out: s.Out, tail: c.Int("tail"), misses: followMisses}
	for {
		now, err := cloud.Server(c.Context, server.ID) // before its log is read, which then is whole
		if errors.Is(err, openstack.ErrNotFound) {
			return nil
		}
		if failed := f.print(c.Context, server.ID); failed != nil {
			return failed
		}
		if err == nil && hasStopped(now) {
			return nil
		}
		if err := transfer.Wait(c.Context, followInterval); err != nil {
			return err
		}
	}
}

func hasStopped(server openstack.Server) bool {
	switch server.Status {
	case "ACTIVE", "BUILD", "REBOOT", "HARD_REBOOT", "REBUILD", "RESCUE", "PAUSED", "VERIFY_RESIZE":
		return false
	}
	return server.Task == ""
}

// follower has printed the log so far.
type follower struct {
	cloud  *openstack.Cloud
	out    io.Writer
	log    growing.Log
	tail   int // lines of what there is at first; 0 for all
	misses int // in a row, until now
}

// print prints what is new. That there is no log fails at first, and when there has been none for long.
func (f *follower) print(ctx context.Context, id string) error {
	text, err := f.cloud.Console(ctx, id, 0)
	if err != nil {
		if f.misses++; f.misses > followMisses || ctx.Err() != nil {
			return err
		}
		return nil
	}
	f.misses = 0
	more := openstack.LastLines(f.log.Grow(text), f.tail)
	f.tail = 0
	_, err = io.WriteString(f.out, more)
	return err
}
