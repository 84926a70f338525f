package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ndock/openstack/node"
	"ndock/openstack/node/layout"
	"ndock/openstack/node/system"
	"ndock/openstack/oslo"
)

// glance is the step of a controller: it has Glance accept Docker images. Glance does so unless its configuration lists
// container formats without docker.
type glance struct {
	Machine
	did system.Changes // of this run
}

// ControllerSteps returns what a cloud with Docker compute nodes needs on its controller.
func (m Machine) ControllerSteps() []node.Step {
	all := []node.Step{&glance{Machine: m}}
	if m.Layout.Dashboard != "" {
		all = append(all, &dashboard{Machine: m})
	}
	return append(all, &definitions{Machine: m})
}

const (
	formatSection = "image_format"
	formatKey     = "container_formats"
	dockerFormat  = "docker"
)

func (g *glance) Title() string { return "glance" }

func (g *glance) path() string { return g.Layout.Path(g.Layout.Config) }

func (g *glance) Plan(ctx context.Context) ([]string, error) {
	edits, err := g.Edits(ctx)
	if err != nil {
		return nil, err
	}
	restart := "restart service " + g.Layout.Glance.Name
	if len(edits) > 0 {
		return []string{fmt.Sprintf("add %s to %s in %s", dockerFormat, formatKey, g.path()), restart}, nil
	}
	if old, err := g.isOutdated(ctx); err != nil || !old {
		return nil, err
	}
	return []string{restart}, nil
}

// isOutdated tells whether Glance goes on with a file of before setup: a setup was killed, or did not come to restart it.
func (g *glance) isOutdated(ctx context.Context) (bool, error) {
	saved, err := g.record().Original(g.Layout.Config)
	if err != nil || saved.Missing {
		return false, err
	}
	pid, err := g.Services.PID(ctx, g.Layout.Glance)
	if err != nil || pid == 0 {
		return false, err
	}
	return system.Outdated(g.Layout.Root, pid, []string{g.Layout.Config})
}

// Edits adds the format to those that are listed; where none are, Glance accepts it.
func (g *glance) Edits(context.Context) ([]system.Edit, error) {
	conf, err := layout.ReadConf(g.path())
	if err != nil {
		return nil, err
	}
	value, found, err := conf.Get(formatSection, formatKey)
	if err != nil || !found || slices.Contains(formats(value), dockerFormat) {
		return nil, err
	}
	before := conf.Bytes()
	if err := addDocker(conf, value); err != nil {
		return nil, err
	}
	return system.EditsOf(g.path(), before, conf.Bytes()), nil
}

// addDocker adds the format to those that a file lists.
func addDocker(conf *oslo.Conf, named string) error {
	return conf.Set(formatSection, formatKey, strings.Join(append(formats(named), dockerFormat), ","))
}

func formats(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}

func (g *glance) Do(ctx context.Context) error {
	edits, err := g.Edits(ctx)
	if err != nil {
		return err
	}
	if len(edits) == 0 {
		return g.Services.Restart(ctx, g.Layout.Glance)
	}
	if err := g.record().Keep(&g.did, g.Layout.Config); err != nil {
		return err
	}
	if err := g.did.Apply(edits[0]); err != nil {
		return err
	}
	return g.Services.Restart(ctx, g.Layout.Glance)
}

// Rollback puts the file back as this run found it.
func (g *glance) Rollback(ctx context.Context) ([]string, error) {
	if !g.did.Any() {
		return nil, nil
	}
	return []string{"put back " + g.path() + " as it was"}, errors.Join(g.did.Rollback(), g.Services.Restart(ctx, g.Layout.Glance))
}

// Teardown puts the file back as it was before setup, unless it has been edited since.
func (g *glance) Teardown(ctx context.Context) ([]string, error) {
	saved, err := g.record().Original(g.Layout.Config)
	if err != nil || saved.Missing {
		return g.record().Untrusted(g.Layout.Config), err
	}
	edited, err := g.edited(saved)
	if err != nil {
		return nil, err
	}
	if edited {
		return []string{"left " + g.path() + " as it is: it was edited since"}, nil
	}
	saved.Path = g.path()
	if err := saved.Write(); err != nil {
		return nil, err
	}
	restarted := g.Services.Restart(ctx, g.Layout.Glance)
	return []string{"put back " + g.path() + " as it was"}, errors.Join(restarted, g.record().Forget(g.Layout.Config))
}

// edited tells whether the file was edited since setup. One that is as before was not: somebody was killed before it was
// edited, or forgotten.
func (g *glance) edited(saved system.Snapshot) (bool, error) {
	was, err := oslo.Parse(g.path(), saved.Content)
	if err != nil {
		return false, err
	}
	value, _, err := was.Get(formatSection, formatKey)
	if err != nil {
		return false, err
	}
	if err := addDocker(was, value); err != nil {
		return false, err
	}
	now, err := system.TakeSnapshot(g.path())
	return !bytes.Equal(now.Content, was.Bytes()) && !bytes.Equal(now.Content, saved.Content), err
}

func (g *glance) Detail(context.Context) (string, error) {
	return fmt.Sprintf("Glance takes images of container format %s (%s)", dockerFormat, g.path()), nil
}
