// Package openstack is ndock's way to a cloud: images in Glance, servers in Nova, networks in Neutron. Package clouds
// finds the cloud, and requests go through package transport. It prints nothing.
package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/docker/transfer"
	"ndock/openstack/clouds"
	"ndock/openstack/serial"
	"ndock/openstack/transport"
)

// Selection says which cloud, and how to speak to it.
type Selection struct {
	Cloud string // a name in clouds.yaml; OS_* decide when it is empty
	Given clouds.Given
	Agent string    // User-Agent
	Trace io.Writer // gets a line for each request; nil for none

	// Unattended refuses to log in with a passcode: it is good for one login, which is the user's.
	Unattended bool

	// Timeout is how long one answer may take, with all its bytes; 0 for as long as it does.
	Timeout time.Duration

	// Stall is how long a transfer may stand still; 0 means transfer.IdleTimeout.
	Stall time.Duration
}

// Cloud is a cloud that one is logged in to.
type Cloud struct {
	provider *gophercloud.ProviderClient
	endpoint gophercloud.EndpointOpts
	lists    *listTurns // nil for as many as there are
	consoles *serial.Dialer
}

// Open logs in.
func Open(ctx context.Context, s Selection) (*Cloud, error) {
	found, err := clouds.Find(s.Cloud, s.Given, os.Getenv)
	if err != nil {
		return nil, notFound(err)
	}
	if s.Unattended && found.Auth.Passcode != "" {
		return nil, &Error{Op: "log in to " + found.Name, Err: errors.New("a passcode is good for one login only")}
	}
	return open(ctx, found, s)
}

// notFound turns an error of clouds into one of this package, so that callers meet one type.
func notFound(err error) error {
	var failure *clouds.Error
	if !errors.As(err, &failure) {
		return err
	}
	return &Error{Op: failure.Op, Err: failure.Err, Setting: failure.Setting, hint: failure.Hint()}
}

func open(ctx context.Context, found clouds.Login, s Selection) (*Cloud, error) {
	found.Auth.AllowReauth = found.Auth.TokenID == "" // a token cannot be had anew with a token
	base := newTransport(found.TLS)
	base.ResponseHeaderTimeout = found.Timeout
	provider, err := openstack.NewClient(found.Auth.IdentityEndpoint)
	if err != nil {
		return nil, explainLogin("log in to "+found.Name, err)
	}
	provider.HTTPClient = newHTTPClient(base, s)
	provider.UserAgent.Prepend(s.Agent)
	if err := openstack.Authenticate(ctx, provider, found.Auth); err != nil {
		return nil, explainLogin("log in to "+found.Name, err)
	}
	cloud := &Cloud{provider: provider, endpoint: found.Endpoint, consoles: serial.NewDialer(base, s.Trace, s.Agent)}
	provider.EndpointLocator = found.Locator(provider.EndpointLocator, cloud.ids)
	return cloud, nil
}

func newTransport(config *tls.Config) *http.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = config
	base.WriteBufferSize = 64 << 10 // holds a chunk of an image: one system call instead of three
	return base
}

func newHTTPClient(base http.RoundTripper, s Selection) http.Client {
	moving := &transfer.IdleTransport{Next: base, Timeout: cmp.Or(s.Stall, transfer.IdleTimeout)}
	return http.Client{Transport: transport.New(moving, s.Trace), Timeout: s.Timeout, CheckRedirect: transport.CheckRedirect}
}

// nova speaks a version that all supported releases have, and that names a server's flavor in the answer.
func (c *Cloud) nova() (*gophercloud.ServiceClient, error) {
	client, err := openstack.NewComputeV2(c.provider, c.endpoint)
	if err != nil {
		return nil, c.noEndpoint("find Nova in the catalogue", err)
	}
	client.Microversion = "2.79"
	return client, nil
}

func (c *Cloud) glance() (*gophercloud.ServiceClient, error) {
	client, err := openstack.NewImageV2(c.provider, c.endpoint)
	if err != nil {
		return nil, c.noEndpoint("find Glance in the catalogue", err)
	}
	return client, nil
}

func (c *Cloud) neutron() (*gophercloud.ServiceClient, error) {
	client, err := openstack.NewNetworkV2(c.provider, c.endpoint)
	if err != nil {
		return nil, c.noEndpoint("find Neutron in the catalogue", err)
	}
	return client, nil
}

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
