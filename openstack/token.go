package openstack

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/docker/transfer"
	"ndock/openstack/clouds"
)

// Token is one that Keystone has given somebody for a project.
type Token struct {
	ID        string // a secret
	Project   tokens.Project
	Expires   time.Time
	Catalogue []tokens.CatalogEntry
}

// String keeps the secret out of logs.
func (t Token) String() string { return "token for project " + t.Project.ID }

// GlanceOptions say how Glance is reached with tokens that others have.
type GlanceOptions struct {
	CACert    string // file; the system's CAs without
	Region    string // of the catalogue; may be empty where Glance is in one only
	Interface string // public without
	Insecure  bool   // send tokens over plain HTTP to another host, too
	Agent     string // User-Agent
}

// Glance is a way to Glance for many, each with a token of his own. All share its connections.
type Glance struct {
	options GlanceOptions
	client  http.Client
	lists   *listTurns
}

// connectionsPerHost are kept for the next request: many users ask one Glance.
const connectionsPerHost = 32

// NewGlance asks nobody anything yet.
func NewGlance(o GlanceOptions) (*Glance, error) {
	o.Interface = cmp.Or(o.Interface, string(gophercloud.AvailabilityPublic))
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CACert != "" {
		var err error
		if config.RootCAs, err = clouds.ReadCertificates(o.CACert); err != nil {
			return nil, notFound(err)
		}
	}
	base := newTransport(config)
	base.MaxIdleConnsPerHost = connectionsPerHost
	return &Glance{options: o, client: newHTTPClient(base, Selection{}), lists: newListTurns()}, nil
}

// With returns the cloud of a token, in which there is Glance and nothing else. It asks nobody anything. For each request the
// newest token of the project is asked for: an upload may take longer than one lives. One that has ended is an *Error with
// status 401.
func (g *Glance) With(newest func() Token) (*Cloud, error) {
	token := newest()
	address, err := g.endpoint(token.Catalogue)
	if err != nil {
		return nil, err
	}
	provider := &gophercloud.ProviderClient{HTTPClient: g.client}
	provider.HTTPClient.Transport = newestToken{next: g.client.Transport, token: newest}
	provider.UserAgent.Prepend(g.options.Agent)
	provider.EndpointLocator = func(gophercloud.EndpointOpts) (string, error) { return address, nil }
	if err := provider.SetTokenAndAuthResult(givenToken{token}); err != nil {
		return nil, err
	}
	return &Cloud{provider: provider, lists: g.lists}, nil
}

// How many lists of images are read at a time: each may take tens of MiB of memory, as its project's users like.
const (
	listsAtOnce    = 8
	listsOfProject = 4
)

// listTurns are those to read a list. A project that asks for many waits for itself first, and for those few that share its place.
type listTurns struct {
	all      chan struct{}
	projects [64]chan struct{}
}

func newListTurns() *listTurns {
	t := &listTurns{all: make(chan struct{}, listsAtOnce)}
	for n := range t.projects {
		t.projects[n] = make(chan struct{}, listsOfProject)
	}
	return t
}

// enter waits for a turn. The returned function ends it.
func (t *listTurns) enter(ctx context.Context, project string) (leave func(), err error) {
	if t == nil {
		return func() {}, nil
	}
	place := fnv.New32a()
	place.Write([]byte(project))
	own := t.projects[place.Sum32()%uint32(len(t.projects))]
	for n, turn := range []chan struct{}{own, t.all} {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			if n > 0 {
				<-own
			}
			return nil, ctx.Err()
		}
	}
	return func() { <-t.all; <-own }, nil
}

// newestToken has each request made with the token that is the newest by then.
type newestToken struct {
	next  http.RoundTripper
	token func() Token
}

// RoundTrip implements http.RoundTripper.
func (n newestToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Auth-Token", n.token().ID)
	answer, err := n.next.RoundTrip(r)
	if err == nil && !(strings.HasSuffix(r.URL.Path, "/file") && answer.StatusCode < http.StatusBadRequest) {
		answer.Body = transfer.Bounded(answer.Body, longestAnswer)
	}
	return answer, err
}

// longestAnswer is how many bytes an answer has at most that is no image: a page of images takes a tenth. It is read into
// memory, and tenants can give each of their images properties of some MiB.
const longestAnswer = 16 << 20

// endpoint finds Glance in a catalogue.
func (g *Glance) endpoint(catalogue []tokens.CatalogEntry) (string, error) {
	var found []tokens.Endpoint
	var regions []string
	for _, service := range catalogue {
		for _, endpoint := range service.Endpoints {
			if service.Type == "image" && endpoint.Interface == g.options.Interface {
				found = append(found, endpoint)
				regions = append(regions, cmp.Or(endpoint.Region, endpoint.RegionID))
			}
		}
	}
	slices.Sort(regions)
	regions = slices.Compact(regions)
	op := fmt.Sprintf("find Glance's %s endpoint in the catalogue", g.options.Interface)
	switch wanted := g.options.Region; {
	case len(found) == 0:
		return "", &Error{Op: op, Err: ErrNoEndpoint}
	case wanted == "" && len(regions) > 1:
		return "", &Error{Op: op, Err: fmt.Errorf("Glance is in %d regions, %s, and none is chosen", len(regions), strings.Join(regions, ", "))}
	case wanted != "":
		found = slices.DeleteFunc(found, func(e tokens.Endpoint) bool { return e.Region != wanted && e.RegionID != wanted })
	}
	if len(found) == 0 {
		return "", &Error{Op: op, Err: fmt.Errorf("Glance is not in region %s, but in %s", g.options.Region, strings.Join(regions, ", "))}
	}
	return clouds.Versioned("image", found[0].URL), g.checkTLS(op, found[0].URL)
}

// checkTLS refuses to show tokens to the network.
func (g *Glance) checkTLS(op, address string) error {
	at, err := url.Parse(address)
	switch {
	case err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "":
		return &Error{Op: op, Err: fmt.Errorf("%q is no address of a service", address)}
	case at.Scheme == "http" && !g.options.Insecure && at.Hostname() != "localhost" && !net.ParseIP(at.Hostname()).IsLoopback():
		return &Error{Op: op, Err: fmt.Errorf("plain HTTP to Glance at %s shows tokens to the network: have the catalogue name an https address, or give --insecure", at.Host)}
	}
	return nil
}

// givenToken says of a Token what Keystone's answer says of others.
type givenToken struct{ Token }

func (t givenToken) ExtractTokenID() (string, error) {
	if t.ID == "" {
		return "", errors.New("there is no token")
	}
	return t.ID, nil
}

func (t givenToken) ExtractProject() (*tokens.Project, error) { return &t.Project, nil }

func (t givenToken) ExtractUser() (*tokens.User, error) { return nil, nil }

func (t givenToken) ExtractRoles() ([]tokens.Role, error) { return nil, nil }

func (t givenToken) ExtractServiceCatalog() (*tokens.ServiceCatalog, error) {
	return &tokens.ServiceCatalog{Entries: t.Catalogue}, nil
}
