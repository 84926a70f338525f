package openstack

import (
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// Session is who one is logged in as, in Keystone's words.
type Session struct {
	User      string
	Project   string
	ProjectID string // empty when the token is for no project
	Roles     []string
}

// identified is what Keystone says of a token, whether it was made here or given.
type identified interface {
	ExtractUser() (*tokens.User, error)
	ExtractProject() (*tokens.Project, error)
	ExtractRoles() ([]tokens.Role, error)
}

// Session tells of the token; what Keystone did not say is empty.
func (c *Cloud) Session() Session {
	var session Session
	token, ok := c.provider.GetAuthResult().(identified)
	if !ok {
		return session
	}
	if user, err := token.ExtractUser(); err == nil && user != nil {
		session.User = user.Name
	}
	if project, err := token.ExtractProject(); err == nil && project != nil {
		session.Project, session.ProjectID = project.Name, project.ID
	}
	roles, _ := token.ExtractRoles() // none where Keystone names none
	for _, role := range roles {
		session.Roles = append(session.Roles, role.Name)
	}
	slices.Sort(session.Roles)
	return session
}

// project is the id of the project that one is logged in to.
func (c *Cloud) project() string { return c.Session().ProjectID }
