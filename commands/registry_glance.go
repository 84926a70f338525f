package commands

import (
	"context"
	"errors"
	"slices"

	"github.com/urfave/cli/v2"

	"ndock/registry/glance"
)

// glanceOptions say which Glance has a registry's images.
type glanceOptions struct {
	Region    string // the only one when empty
	Interface string // public, internal or admin
	CACert    string // file
	Insecure  bool   // plain HTTP to another host
}

// registryGlance returns how the users' projects are opened; nil where the images are not in Glance.
func registryGlance(c *cli.Context) (glance.Opener, error) {
	o := glanceOptions{Region: c.String("keystone-region"), Interface: c.String("keystone-interface"), CACert: c.Path("keystone-cacert"), Insecure: c.Bool("insecure")}
	switch {
	case !c.Bool("glance") && (c.IsSet("keystone-region") || c.IsSet("keystone-interface")):
		return nil, misused(c, "--keystone-region and --keystone-interface are for --glance")
	case !c.Bool("glance"):
		return nil, nil
	case !slices.Contains([]string{"public", "internal", "admin"}, o.Interface):
		return nil, misused(c, "--keystone-interface is public, internal or admin, not %q", o.Interface)
	}
	return openGlanceProject(o), nil
}

// openGlanceProject returns how the project of a login is opened.
func openGlanceProject(glanceOptions) glance.Opener {
	return func(context.Context, *glance.Login) (glance.Project, error) {
		return nil, &glance.Refused{Kind: glance.Unavailable, Reason: errors.New("images in Glance: not built yet")}
	}
}
