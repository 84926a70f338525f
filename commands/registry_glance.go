package commands

import (
	"context"
	"log/slog"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/urfave/cli/v2"

	"ndock/openstack"
	"ndock/registry/auth/keystone"
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
func registryGlance(c *cli.Context, log *slog.Logger) (glance.Opener, error) {
	o := glanceOptions{Region: c.String("keystone-region"), Interface: c.String("keystone-interface"), CACert: c.Path("keystone-cacert"), Insecure: c.Bool("insecure")}
	switch {
	case !c.Bool("glance") && (c.IsSet("keystone-region") || c.IsSet("keystone-interface")):
		return nil, misused(c, "--keystone-region and --keystone-interface are for --glance")
	case !c.Bool("glance"):
		return nil, nil
	case !slices.Contains([]string{"public", "internal", "admin"}, o.Interface):
		return nil, misused(c, "--keystone-interface is public, internal or admin, not %q", o.Interface)
	}
	return openGlanceProject(o, log)
}

// openGlanceProject returns how the project of a login is opened. It asks nobody anything yet.
func openGlanceProject(o glanceOptions, log *slog.Logger) (glance.Opener, error) {
	way, err := openstack.NewGlance(openstack.GlanceOptions{Region: o.Region, Interface: o.Interface, CACert: o.CACert, Insecure: o.Insecure, Agent: "ndock/" + version()})
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, login *glance.Login) (glance.Project, error) {
		cloud, err := way.With(func() openstack.Token { return glanceToken(login.Token()) })
		if err != nil {
			return nil, glanceError(err)
		}
		return glanceProject{cloud: cloud, id: login.Token().ProjectID, log: log}, nil
	}, nil
}

func glanceToken(token keystone.Token) openstack.Token {
	return openstack.Token{
		ID: token.ID, Project: tokens.Project{ID: token.ProjectID, Name: token.Project}, Expires: token.Expires, Catalogue: token.Catalog,
	}
}
