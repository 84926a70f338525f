package commands

import "github.com/urfave/cli/v2"

func listCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "List servers",
		Description: examples(
			"ndock list",
			"ndock list -f value -c ID -c Name"),
		Flags:  outputFlags(),
		Action: func(c *cli.Context) error { return listServers(c, s) },
	}
}

func listServers(c *cli.Context, s Streams) error {
	if _, err := exactly(c); err != nil {
		return err
	}
	if err := outputStyle(c).Check(serverHeaders); err != nil {
		return err
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	servers, err := cloud.Servers(c.Context)
	if err != nil {
		return err
	}
	return outputStyle(c).List(s.Out, serverHeaders, serverRows(servers))
}
