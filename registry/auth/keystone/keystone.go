// Package keystone lets the users of an OpenStack into the registry, with their names and passwords or with application
// credentials. Who has a role in a project may pull from its repositories, which are called PROJECT/…, and who has one of
// the push roles there may push to them and delete in them.
//
//	docker login ─► auth.Controller ─► Check: a token of Keystone, and the projects that it is good for
//	docker push  ─►                   ─► May:   that token, exchanged for one of the project's, tells the roles there
//
// An application credential that has access rules may do what they say of the service container-registry, and nothing
// else: GET is pulling, PUT is pushing, and DELETE is deleting, below a path such as /v2/PROJECT/**. Where the images are in
// Glance, its token is used there, so that it needs rules for the service image, too.
//
// PROJECT is a project's id, or its name. A name stands for a project only if no other can have it: names are unique in a
// domain, so it must be in the one domain that is configured; repository names are lowercase, so it must be, too, or it
// and another would be written alike; and what looks like an id is one.
package keystone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	distauth "github.com/distribution/distribution/v3/registry/auth"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/docker/transfer"
	"ndock/registry/auth"
)

// timeout bounds one request to Keystone.
const timeout = 10 * time.Second

// Source asks Keystone who somebody is.
type Source struct {
	Options
	http    http.Client
	project func(id, name string) // hears of each project that is pushed to by its name; nil for nobody
}

var _ auth.Source = (*Source)(nil)

// NewSource asks Keystone nothing yet: a registry starts without it.
func NewSource(o Options) (*Source, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CACert != "" {
		var err error
		if config.RootCAs, err = transfer.ReadCertificates(o.CACert); err != nil {
			return nil, fmt.Errorf("read Keystone's CA: %w", err)
		}
	}
	// Logins are rare, and a connection that Keystone has closed meanwhile would fail one.
	transport := &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	// A redirection would send the password somewhere else.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Source{Options: o.withDefaults(), http: http.Client{Transport: transport, Timeout: timeout, CheckRedirect: stay}}, nil
}

// Controller is the constructor that distribution calls with the parameters of auth.keystone.
func Controller(parameters map[string]any) (distauth.AccessController, error) {
	o, err := Parse(parameters)
	if err != nil {
		return nil, fmt.Errorf("auth.keystone: %w", err)
	}
	source, err := NewSource(o)
	if err != nil {
		return nil, fmt.Errorf("auth.keystone: %w", err)
	}
	log, ok := parameters["log"].(*slog.Logger)
	if !ok {
		log = slog.Default()
	}
	realm, ok := parameters["realm"].(string)
	if !ok {
		realm = "OpenStack"
	}
	source.project, _ = parameters["project"].(func(id, name string))
	return auth.New(source, realm, log), nil
}

// Generation implements auth.Source.
func (*Source) Generation() string { return "" }

// Anyone implements auth.Source.
func (s *Source) Anyone() auth.Identity {
	if s.Read != ReadAnyone {
		return nil
	}
	return anonymousUser{}
}

// Check implements auth.Source.
func (s *Source) Check(ctx context.Context, user, password string) (auth.Identity, error) {
	who := parseLogin(user, s.Domain)
	if who.empty() {
		return nil, auth.ErrWrong
	}
	result := tokens.Create(ctx, s.client(""), who.tokenRequest(password))
	token, err := result.ExtractToken()
	if who.isUnknown(err) {
		return nil, auth.ErrWrong
	}
	if err != nil {
		return nil, s.explain("a token for "+user, err)
	}
	rules, err := readRules(result)
	if err != nil {
		return nil, s.explain("a token for "+user, err)
	}
	made := &session{source: s, rules: rules, name: user, token: token.ID, expires: token.ExpiresAt.Add(-s.margin()), scopes: map[string]*scope{}}
	if fixed, err := readScope(result); err != nil {
		return nil, s.explain("a token for "+user, err)
	} else if fixed != nil { // an application credential's, which is good for no other
		made.scopes[fixed.id] = fixed
		made.projects = []projects.Project{{ID: fixed.id, Name: fixed.name, DomainID: fixed.domain}}
		return made, nil
	}
	pages, err := projects.ListAvailable(s.client(token.ID)).AllPages(ctx)
	if err == nil {
		made.projects, err = projects.ExtractProjects(pages)
	}
	if err != nil {
		return nil, s.explain("the projects of "+user, err)
	}
	return made, nil
}

// client is one of Keystone's, with a token.
func (s *Source) client(token string) *gophercloud.ServiceClient {
	return &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{HTTPClient: s.http, TokenID: token},
		Endpoint:       s.endpoint(),
		Type:           "identity",
	}
}

func (s *Source) endpoint() string {
	url := strings.TrimRight(s.URL, "/")
	if !strings.HasSuffix(url, "/v3") {
		url += "/v3"
	}
	return url + "/"
}

// explain says what Keystone was asked for, and by which request its log has it. Of a wrong password it says no more
// than that.
func (s *Source) explain(what string, err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &answer) {
		return fmt.Errorf("ask Keystone at %s for %s: %w", s.URL, what, err)
	}
	if answer.Actual == http.StatusUnauthorized {
		return auth.ErrWrong
	}
	text := fmt.Sprintf("ask Keystone at %s for %s: it answered %d %s", s.URL, what, answer.Actual, http.StatusText(answer.Actual))
	if id := answer.ResponseHeader.Get("X-Openstack-Request-Id"); id != "" {
		text += " (" + id + ")"
	}
	return errors.New(text)
}
