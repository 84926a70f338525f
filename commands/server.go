package commands

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/output"
	"ndock/openstack"
)

// waitFlags are those of a command that Nova carries out in the background.
func waitFlags() []cli.Flag {
	return waitingFlags("longest `DURATION` of --wait, for all servers together")
}

// waitingFlags are those of a command that can wait, by what it says of its --timeout.
func waitingFlags(timeout string) []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "wait", Usage: "wait until it is done, and fail if it fails"},
		&cli.DurationFlag{Name: "timeout", Value: 10 * time.Minute, Usage: timeout, Action: positive},
	}
}

func positive(c *cli.Context, timeout time.Duration) error {
	if timeout <= 0 {
		return misused(c, "--timeout %s is no time to wait", timeout)
	}
	return nil
}

func waitOptions(c *cli.Context, s Streams) openstack.Wait {
	report := newProgress(c, s)
	return openstack.Wait{
		Wanted: c.Bool("wait"), Timeout: c.Duration("timeout"),
		Tell: func(op, status string) { report.Step("%s: %s", op, status) },
	}
}

// verbCommand is a command that does one thing to any number of servers.
func verbCommand(s Streams, verb openstack.Verb, usage string) *cli.Command {
	return &cli.Command{
		Name:      string(verb),
		Usage:     usage,
		ArgsUsage: "SERVER…",
		Description: examples(
			"ndock "+string(verb)+" web",
			"ndock "+string(verb)+" --wait web-1 web-2"),
		Flags:  waitFlags(),
		Action: func(c *cli.Context) error { return actOnServers(c, s, verb) },
	}
}

func actOnServers(c *cli.Context, s Streams, verb openstack.Verb) error {
	names, err := atLeastOne(c, "SERVER")
	if err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	return cloud.Act(c.Context, verb, waitOptions(c, s), names...)
}

func serverFields(server openstack.Server) []output.Field {
	return []output.Field{
		{Name: "ID", Value: server.ID},
		{Name: "Name", Value: server.Name},
		{Name: "Status", Value: server.Status},
		{Name: "Task", Value: orNone(server.Task)},
		{Name: "Power State", Value: server.Power},
		{Name: "Networks", Value: networkNames(server.Addresses)},
		{Name: "Image", Value: server.ImageID},
		{Name: "Flavor", Value: server.Flavor},
		{Name: "Key Name", Value: orNone(server.KeyName)},
		{Name: "Properties", Value: server.Metadata},
		{Name: "Created", Value: server.Created},
		{Name: "Host", Value: orNone(server.Host)},
		{Name: "Fault", Value: orNone(server.Fault)},
	}
}

var serverHeaders = []string{"ID", "Name", "Status", "Networks", "Image", "Flavor"}

func serverRows(servers []openstack.Server) [][]any {
	var rows [][]any
	for _, server := range servers {
		rows = append(rows, []any{server.ID, server.Name, server.Status, networkNames(server.Addresses), server.ImageID, server.Flavor})
	}
	return rows
}

// networkNames writes addresses as openstackclient of old does: net=addr, addr; other=addr.
func networkNames(addresses map[string][]string) string {
	var all []string
	for _, network := range slices.Sorted(maps.Keys(addresses)) {
		all = append(all, network+"="+strings.Join(addresses[network], ", "))
	}
	return strings.Join(all, "; ")
}

// orNone is null for what is not there.
func orNone(text string) any {
	if text == "" {
		return nil
	}
	return text
}
