package commands

import (
	"context"
	"errors"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/commands/internal/attach"
	"ndock/commands/internal/output"
	"ndock/commands/internal/progress"
	"ndock/docker/transfer"
	"ndock/openstack"
)

const (
	defaultEscape = attach.Key(']' - '@')
	defaultLinger = 2 * time.Second
	logEnd        = 50 // lines
)

func attachCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:      "attach",
		Usage:     "Join the terminal to the serial console of a server",
		ArgsUsage: "SERVER",
		Description: "What the server writes acts on the terminal, as with ssh, and what is typed goes to the server, but for the key\n" +
			"that leaves. A connection that is lost is made again for two minutes.\n\n" +
			"Input that is no terminal is sent to its end. Then ndock prints what comes until nothing has come for --linger, and\n" +
			"for 30 times as long at most. Control characters are shown on a terminal then, as 'ndock logs' does.\n\n" +
			examples(
				"ndock attach web",
				"ndock attach --log --escape ctrl-a web",
				"echo date | ndock attach web"),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "escape", Value: "ctrl-]", Usage: "`KEY` that leaves: ctrl-X or none"},
			&cli.BoolFlag{Name: "log", Usage: "show the end of the console log first"},
			&cli.DurationFlag{Name: "linger", Value: defaultLinger, Usage: "`DURATION` without output after which it ends, when the input has ended", Action: someLinger},
		},
		Action: func(c *cli.Context) error { return attachServer(c, s) },
	}
}

func someLinger(c *cli.Context, linger time.Duration) error {
	if linger < 0 || linger > 24*time.Hour {
		return misused(c, "--linger %s is no time to wait for output", linger)
	}
	return nil
}

func attachServer(c *cli.Context, s Streams) error {
	args, err := exactly(c, "SERVER")
	if err != nil {
		return err
	}
	escape, err := attach.ParseKey(c.String("escape"))
	if err != nil {
		return misused(c, "--escape: %v", err)
	}
	cloud, err := openCloud(c, s)
	if err != nil {
		return err
	}
	server, err := cloud.Server(c.Context, args[0])
	if err != nil {
		return err
	}
	a := attachment{cloud: cloud, server: server, escape: escape, linger: c.Duration("linger")}
	if c.Bool("log") {
		a.log = func(ctx context.Context) (string, error) { return cloud.Console(ctx, server.ID, logEnd) }
	}
	return attachTo(c, s, a)
}

// attachment is whose console is joined to the terminal, and how.
type attachment struct {
	cloud  *openstack.Cloud
	server openstack.Server
	escape attach.Key
	linger time.Duration
	log    func(ctx context.Context) (string, error) // is shown first; nil for none
}

func attachTo(c *cli.Context, s Streams, a attachment) error {
	ctx := c.Context
	if !signal.Ignored(syscall.SIGHUP) { // as it is for nohup
		hung, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		ctx = hung
	}
	out := output.Raw(s.Out)
	terminal := attach.Open(s.In, out)
	if terminal == nil {
		out = attach.WholeCharacters(s.Out)
	}
	tell := progress.New(terminal.Lines(s.Err), c.Bool("quiet")).Step
	warned := false
	err := attach.Run(ctx, attach.Options{
		Dial: func(ctx context.Context) (attach.Conn, error) {
			conn, err := a.cloud.SerialConsole(ctx, a.server.ID)
			if err != nil {
				return nil, err
			}
			if !warned && a.cloud.TLS() && !conn.TLS {
				warned = true
				tell("warning: the cloud's console is without TLS: others on the network can read what is typed")
			}
			return conn, nil
		},
		Status: a.status, Log: a.log, Tell: tell, Final: isFinal, Wait: transfer.Wait,
		In: s.In, Out: out, Terminal: terminal, Escape: a.escape, Linger: a.linger,
	})
	if ctx.Err() != nil && c.Context.Err() == nil {
		return errors.New("the terminal hung up")
	}
	return err
}

// status is empty for a server that is gone.
func (a attachment) status(ctx context.Context) (string, error) {
	server, err := a.cloud.Server(ctx, a.server.ID)
	if errors.Is(err, openstack.ErrNotFound) {
		return "", nil
	}
	return server.Status, err
}

// isFinal tells whether a console is refused for good: not where a service is away, or a server is about to be up.
func isFinal(err error) bool {
	var refused *openstack.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Status {
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusRequestTimeout:
		return false
	}
	return refused.Status >= http.StatusBadRequest && refused.Status < http.StatusInternalServerError
}
