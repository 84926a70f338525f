package commands

import (
	"context"
	"log/slog"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/openstack"
	"ndock/registry/auth/keystone"
	"ndock/registry/config"
	"ndock/registry/glance"
)

// openGlance returns how the project of a login is opened. It asks nobody anything yet.
func openGlance(o config.GlanceOptions, log *slog.Logger) (glance.Opener, error) {
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
