package commands

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"ndock/openstack"
	"ndock/openstack/doctor"
	"ndock/registry/trust"
)

func doctorCommand(s Streams) *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "Check a cloud for what keeps it from booting Docker images",
		Description: "Checks the cloud, from credentials to a bootable image, and the registries of ndock that Docker on this host trusts.\n" +
			"It changes nothing. Some checks are unknown to users who are not administrators. The exit status is 1 if a check\n" +
			"fails.\n\n" +
			examples(
				"ndock doctor",
				"ndock doctor -f value -c Check -c State"),
		Flags: slices.Concat(outputFlags(), []cli.Flag{
			&cli.DurationFlag{Name: "timeout", Value: 10 * time.Second, Usage: "longest `DURATION` to wait for each answer", Action: positive},
		}),
		Action: func(c *cli.Context) error { return examine(c, s) },
	}
}

func examine(c *cli.Context, s Streams) error {
	headers := []string{"Check", "State", "Detail", "Fix"}
	if _, err := exactly(c); err != nil {
		return err
	}
	if err := outputStyle(c).Check(headers); err != nil {
		return err
	}
	findings, err := doctor.Examine(c.Context, func(ctx context.Context) (doctor.Cloud, error) {
		selection := selected(c, s)
		selection.Timeout = c.Duration("timeout")
		return openstack.Open(ctx, selection)
	})
	if err != nil {
		return err
	}
	findings = append(findings, examineRegistries(c.Context, trust.CertsDir, c.Duration("timeout"), time.Now())...)
	var rows [][]any
	var wrong []string
	for _, finding := range findings {
		rows = append(rows, []any{finding.Check, string(finding.State), finding.Detail, finding.Fix})
		if finding.State == doctor.Failed {
			wrong = append(wrong, finding.Check)
		}
	}
	if err := sentencesStyle(c).List(s.Out, headers, rows); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return &unhealthy{wrong}
	}
	return nil
}

// unhealthy is a cloud in which something is in error.
type unhealthy struct{ wrong []string }

func (e *unhealthy) Error() string {
	return "this cloud does not boot Docker images as it should: see " + strings.Join(e.wrong, ", ")
}

func (e *unhealthy) Hint() string { return "the columns Detail and Fix say what to do" }
