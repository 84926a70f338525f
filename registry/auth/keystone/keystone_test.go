package keystone

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	distauth "github.com/distribution/distribution/v3/registry/auth"

	"ndock/registry/auth"
)

const (
	idOne   = "11111111111111111111111111111111"
	idTwo   = "22222222222222222222222222222222"
	idOther = "33333333333333333333333333333333"
	idUpper = "44444444444444444444444444444444"
	idForge = "55555555555555555555555555555555"
	idCred  = "66666666666666666666666666666666"
	expiry  = "2026-11-26T12:00:00.000000Z"
)

type project struct {
	id, name, domain string
	roles            []string
}

// cloud is Keystone with what the test cloud has not: other domains, and faults.
type cloud struct {
	*httptest.Server
	projects []project
	status   atomic.Int32 // to answer, if not 0
	asked    atomic.Int32
	rules    []rule // of the application credential
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{projects: []project{
		{idOther, "one", "Other", []string{"member"}}, // first, for it is not to be taken for the other
		{idOne, "one", "Default", []string{"reader", "member"}},
		{idTwo, "two", "Default", []string{"reader"}},
		{idUpper, "Upper", "Default", []string{"admin"}},
		{idForge, strings.Repeat("9", 32), "Default", []string{"member"}}, // called as another may be
	}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	w.Header().Set("X-Openstack-Request-Id", "req-1")
	w.Header().Set("Content-Type", "application/json")
	if status := c.status.Load(); status != 0 {
		w.Header().Set("Location", "/v3/elsewhere")
		w.WriteHeader(int(status))
		return
	}
	switch r.URL.Path {
	case "/v3/auth/tokens":
		c.token(w, r)
	case "/v3/auth/projects":
		var all []any
		for _, one := range c.projects {
			all = append(all, map[string]any{"id": one.id, "name": one.name, "domain_id": "id of " + one.domain, "enabled": true})
		}
		if r.Header.Get("X-Auth-Token") == "of-nobody" {
			all = []any{}
		}
		json.NewEncoder(w).Encode(map[string]any{"projects": all})
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

type asked struct {
	Auth struct {
		Identity struct {
			Password struct {
				User struct {
					Name, Password string
					Domain         struct{ Name string }
				}
			}
			Credential struct{ ID, Secret string } `json:"application_credential"`
			Token      struct{ ID string }
		}
		Scope struct {
			Unscoped *struct{}
			Project  struct{ ID string }
		}
	}
}

func (c *cloud) token(w http.ResponseWriter, r *http.Request) {
	var a asked
	json.NewDecoder(r.Body).Decode(&a)
	user, credential := a.Auth.Identity.Password.User, a.Auth.Identity.Credential
	switch {
	case user.Name == "ann" && user.Domain.Name == "Default" && user.Password == "right" && a.Auth.Scope.Unscoped != nil:
		answer(w, "of-ann", nil)
	case user.Name == "eve" && user.Domain.Name == "Other" && user.Password == "right":
		answer(w, "of-nobody", nil)
	case credential.ID == idCred && credential.Secret == "right":
		answer(w, "of-credential", &c.projects[2], c.rules...)
	case credential.ID != "" && credential.ID != idCred:
		w.WriteHeader(http.StatusNotFound)
	case a.Auth.Identity.Token.ID == "of-ann":
		for _, one := range c.projects {
			if one.id == a.Auth.Scope.Project.ID && one.roles != nil {
				answer(w, "of-project", &one)
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func answer(w http.ResponseWriter, id string, of *project, rules ...rule) {
	token := map[string]any{"expires_at": expiry}
	if rules != nil {
		var all []any
		for _, one := range rules {
			all = append(all, map[string]any{"id": "1", "service": one.Service, "method": one.Method, "path": one.Path})
		}
		token["application_credential"] = map[string]any{"id": idCred, "name": "ci", "restricted": true, "access_rules": all}
	}
	if of != nil {
		var roles []any
		for _, role := range of.roles {
			roles = append(roles, map[string]any{"name": role})
		}
		token["roles"] = roles
		token["project"] = map[string]any{"id": of.id, "name": of.name, "domain": map[string]any{"name": of.domain}}
	}
	w.Header().Set("X-Subject-Token", id)
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(map[string]any{"token": token})
}

func (c *cloud) login(t *testing.T, o Options, user string) auth.Identity {
	t.Helper()
	o.URL = c.URL
	s, err := NewSource(o)
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.Check(t.Context(), user, "right")
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func to(action, repository string) distauth.Access {
	return distauth.Access{Resource: distauth.Resource{Type: "repository", Name: repository}, Action: action}
}

var catalog = distauth.Access{Resource: distauth.Resource{Type: "registry", Name: "catalog"}, Action: "*"}

func TestMay(t *testing.T) {
	c := newCloud(t)
	readers := Options{Read: ReadAuthenticated}
	for name, test := range map[string]struct {
		user    string
		options Options
		want    distauth.Access
		denied  string // in these words; allowed without
	}{
		"push by name":           {"ann", Options{}, to("push", "one/web"), ""},
		"delete by id":           {"ann", Options{}, to("delete", idOne+"/web/front"), ""},
		"another domain by id":   {"ann", Options{}, to("push", idOther+"/web"), ""},
		"the other domain's":     {"Default/ann", Options{Domain: "Other"}, to("push", "two/web"), `"two" is not the name of one project`},
		"a domain of the site's": {"Default/ann", Options{Domain: "Other"}, to("push", "one/web"), ""},
		"pull as a reader":       {"ann", Options{}, to("pull", "two/web"), ""},
		"push as a reader":       {"ann", Options{}, to("push", "two/web"), `to push or delete in project "two" takes the role member or admin there; ann has reader`},
		"delete as a reader":     {"ann", Options{}, to("delete", idTwo+"/web"), "takes the role"},
		"roles of the site's":    {"ann", Options{PushRoles: []string{"reader"}}, to("push", "two/web"), ""},
		"not in lowercase":       {"ann", Options{}, to("push", "upper/web"), `"upper" is not the name of one project for sure; write its id: ` + idUpper + "/web"},
		"which has an id":        {"ann", Options{}, to("push", idUpper+"/web"), ""},
		"a name like an id":      {"ann", Options{}, to("push", strings.Repeat("9", 32)+"/web"), "write its id: " + idForge},
		"no project":             {"ann", Options{}, to("pull", "web"), `repository "web" is in no project of ann`},
		"a project alone":        {"ann", Options{}, to("push", "one"), "is in no project"},
		"another's":              {"ann", Options{}, to("pull", "theirs/web"), "is in no project"},
		"another's, to read":     {"ann", readers, to("pull", "theirs/web"), ""},
		"another's, to write":    {"ann", readers, to("push", "theirs/web"), "is in no project"},
		"catalog":                {"ann", Options{}, catalog, "the catalog names the repositories of all projects"},
		"catalog to read":        {"ann", readers, catalog, ""},
		"credential":             {idCred, Options{PushRoles: []string{"reader"}}, to("push", "two/web"), ""},
		"credential as a reader": {idCred, Options{}, to("push", "two/web"), "takes the role"},
		"credential elsewhere":   {idCred, Options{}, to("pull", "one/web"), "is in no project"},
		"nobody's":               {"Other/eve", Options{}, to("pull", "one/web"), "is in no project"},
		"nobody's, to read":      {"Other/eve", readers, to("pull", "one/web"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.options.PushRoles == nil {
				test.options.PushRoles = DefaultPushRoles()
			}
			wantDenied(t, c.login(t, test.options, test.user).May(t.Context(), test.want), test.denied)
		})
	}
	wantDenied(t, c.login(t, Options{}, "Other/eve").May(t.Context()), "Other/eve is in no project: there is nothing to push or pull")
	wantDenied(t, c.login(t, readers, "Other/eve").May(t.Context()), "")
	both := []distauth.Access{to("pull", "one/web"), to("pull", "theirs/web")} // a blob mounted from there
	wantDenied(t, c.login(t, Options{}, "ann").May(t.Context(), both...), "theirs/web")
}

// An application credential with access rules may do what they say of the registry, and no more.
func TestAccessRules(t *testing.T) {
	c := newCloud(t)
	for name, test := range map[string]struct {
		rules  []rule
		want   []distauth.Access
		denied string // in these words; allowed without
	}{
		"no rule for the registry, login": {[]rule{{"compute", "GET", "/v2.1/servers"}}, nil, "none of them is for the service container-registry"},
		"no rule for the registry, pull":  {[]rule{{"image", "GET", "/v2/**"}}, []distauth.Access{to("pull", "two/web")}, "none of them is for the service container-registry"},
		"login":                           {[]rule{{ServiceType, "GET", "/v2/**"}}, nil, ""},
		"pull":                            {[]rule{{ServiceType, "GET", "/v2/**"}}, []distauth.Access{to("pull", "two/web")}, ""},
		"push without a rule":             {[]rule{{ServiceType, "GET", "/v2/**"}}, []distauth.Access{to("pull", "two/web"), to("push", "two/web")}, "no access rule of application credential " + idCred + " lets it push two/web"},
		"push":                            {[]rule{{ServiceType, "GET", "/v2/**"}, {ServiceType, "PUT", "/v2/two/**"}}, []distauth.Access{to("pull", "two/web"), to("push", "two/web")}, ""},
		"delete without a rule":           {[]rule{{ServiceType, "PUT", "/v2/**"}}, []distauth.Access{to("delete", "two/web")}, "lets it delete two/web"},
		"delete":                          {[]rule{{ServiceType, "DELETE", "/v2/two/web/**"}}, []distauth.Access{to("delete", "two/web")}, ""},
		"another repository":              {[]rule{{ServiceType, "GET", "/v2/two/web/**"}}, []distauth.Access{to("pull", "two/webs")}, "lets it pull two/webs"},
		"half a name":                     {[]rule{{ServiceType, "GET", "/v2/two/we**"}}, []distauth.Access{to("pull", "two/web")}, "lets it pull two/web"},
		"another service's rule":          {[]rule{{ServiceType, "PUT", "/v2/**"}, {"image", "GET", "/v2/**"}}, []distauth.Access{to("pull", "two/web")}, "lets it pull two/web"},
		"what others may read":            {[]rule{{ServiceType, "GET", "/v2/two/**"}}, []distauth.Access{to("pull", "one/web")}, "lets it pull one/web"},
		"catalog without a rule":          {[]rule{{ServiceType, "GET", "/v2/two/**"}}, []distauth.Access{catalog}, "no access rule"},
		"catalog":                         {[]rule{{ServiceType, "GET", "/v2/_catalog"}}, []distauth.Access{catalog}, ""},
	} {
		c.rules = test.rules
		t.Run(name, func(t *testing.T) {
			o := Options{PushRoles: []string{"reader"}, Read: ReadAuthenticated}
			wantDenied(t, c.login(t, o, idCred).May(t.Context(), test.want...), test.denied)
		})
	}
}

// Where the images are in Glance, an application credential with access rules needs some for Glance, too: without, Glance answers
// 401 to a token that is good.
func TestAccessRulesForGlance(t *testing.T) {
	c := newCloud(t)
	registry := []rule{{ServiceType, "GET", "/v2/**"}, {ServiceType, "PUT", "/v2/**"}, {ServiceType, "DELETE", "/v2/**"}}
	all := []rule{{"image", "GET", "/v2/images**"}, {"image", "POST", "/v2/images"}, {"image", "PATCH", "/v2/images/*"}, {"image", "DELETE", "/v2/images/*"}, {"image", "PUT", "/v2/images/*/file"}}
	for name, test := range map[string]struct {
		rules  []rule
		want   []distauth.Access
		denied string // in these words; allowed without
	}{
		"no rule for Glance, login":  {nil, nil, "none of them lets it GET at Glance (service image): to pull takes GET /v2/images**, to push"},
		"no rule for Glance, pull":   {nil, []distauth.Access{to("pull", "two/web")}, "lets it GET at Glance"},
		"another service's rule":     {[]rule{{"compute", "GET", "/v2/images**"}}, []distauth.Access{to("pull", "two/web")}, "lets it GET at Glance"},
		"login":                      {all[:1], nil, ""},
		"pull":                       {all[:1], []distauth.Access{to("pull", "two/web")}, ""},
		"catalog":                    {all[:1], []distauth.Access{catalog}, ""},
		"push with the rules of one": {all[:1], []distauth.Access{to("pull", "two/web"), to("push", "two/web")}, "lets it POST at Glance"},
		"push that cannot clean up":  {slices.Delete(slices.Clone(all), 3, 4), []distauth.Access{to("push", "two/web")}, "lets it DELETE at Glance"},
		"push":                       {all, []distauth.Access{to("pull", "two/web"), to("push", "two/web")}, ""},
		"delete":                     {all, []distauth.Access{to("delete", "two/web")}, ""},
	} {
		c.rules = slices.Concat(registry, test.rules)
		t.Run(name, func(t *testing.T) {
			wantDenied(t, c.login(t, Options{Glance: true}, idCred).May(t.Context(), test.want...), test.denied)
		})
	}
	c.rules = registry
	wantDenied(t, c.login(t, Options{PushRoles: []string{"reader"}}, idCred).May(t.Context(), to("push", "two/web")), "") // images on a disk
}

// Who counts what projects take hears that a name is a project's.
func TestProjectsAreTold(t *testing.T) {
	c := newCloud(t)
	s, err := NewSource(Options{URL: c.URL})
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	s.project = func(id, name string) { told[name] = id }
	who, err := s.Check(t.Context(), "ann", "right")
	if err != nil {
		t.Fatal(err)
	}
	for _, repository := range []string{"one/web", idOther + "/web", idUpper + "/web", idForge + "/web"} {
		wantDenied(t, who.May(t.Context(), to("push", repository)), "")
	}
	if len(told) != 1 || told["one"] != idOne {
		t.Errorf("told of %v", told)
	}
}

func wantDenied(t *testing.T, err error, words string) {
	t.Helper()
	var denied *auth.Denied
	switch {
	case words == "" && err != nil:
		t.Errorf("unexpected error: %v", err)
	case words != "" && (!errors.As(err, &denied) || !strings.Contains(err.Error(), words)):
		t.Errorf("error %v, want a refusal with %q", err, words)
	}
}

func TestCheck(t *testing.T) {
	c := newCloud(t)
	s, err := NewSource(Options{URL: c.URL + "/v3/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"bob", "Other/ann", "ann/", "/ann", idOne} {
		if _, err := s.Check(t.Context(), user, "right"); !errors.Is(err, auth.ErrWrong) {
			t.Errorf("%s: %v", user, err)
		}
	}
	who, err := s.Check(t.Context(), "Default/ann", "right")
	if want, _ := time.Parse(time.RFC3339, expiry); err != nil || who.Name() != "Default/ann" || !who.Expires().Equal(want) {
		t.Fatalf("got %v, %v", who, err)
	}
	// A project is asked for once; one that is not his any more is not his.
	before := c.asked.Load()
	for range 3 {
		wantDenied(t, who.May(t.Context(), to("push", idOne+"/web")), "")
	}
	if got := c.asked.Load() - before; got != 1 {
		t.Errorf("Keystone was asked %d times", got)
	}
	c.projects[2].roles = nil
	wantDenied(t, who.May(t.Context(), to("pull", "two/web")), `"two" is not`)
}

func TestKeystoneAway(t *testing.T) {
	c := newCloud(t)
	s, err := NewSource(Options{URL: c.URL})
	if err != nil {
		t.Fatal(err)
	}
	who, err := s.Check(t.Context(), "ann", "right")
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{307, 403, 404, 429, 500, 503} {
		c.status.Store(int32(status))
		_, err := s.Check(t.Context(), "ann", "right")
		want := fmt.Sprintf("ask Keystone at %s for a token for ann: it answered %d %s (req-1)", c.URL, status, http.StatusText(status))
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var denied *auth.Denied
	if err := who.May(t.Context(), to("push", "one/web")); err == nil || errors.As(err, &denied) || !strings.Contains(err.Error(), "the roles of ann in project") {
		t.Errorf("roles: %v", err)
	}
	c.status.Store(0)
	wantDenied(t, who.May(t.Context(), to("push", "one/web")), "")
	c.Close()
	if _, err := s.Check(t.Context(), "ann", "right"); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("closed: %v", err)
	}
}

func TestCACert(t *testing.T) {
	c := &cloud{}
	c.Server = httptest.NewTLSServer(c)
	defer c.Close()
	c.Config.ErrorLog = log.New(io.Discard, "", 0) // where it is not trusted
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{ca: "wrong user name or password", "": "certificate signed by unknown authority"} {
		s, err := NewSource(Options{URL: c.URL, CACert: file})
		if err == nil {
			_, err = s.Check(t.Context(), "ann", "x")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: %v, want %q", file, err, want)
		}
	}
	for _, file := range []string{"missing", "keystone_test.go"} {
		if _, err := NewSource(Options{URL: c.URL, CACert: file}); err == nil || !strings.HasPrefix(err.Error(), "read Keystone's CA: ") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestVisitor(t *testing.T) {
	s, err := NewSource(Options{URL: "https://keystone", Read: ReadAnyone})
	if err != nil {
		t.Fatal(err)
	}
	who := s.Anyone()
	if err := who.May(t.Context(), to("pull", "one/web"), catalog); err != nil {
		t.Error(err)
	}
	if err := who.May(t.Context(), to("push", "one/web")); !errors.Is(err, auth.ErrNoLogin) {
		t.Error(err)
	}
	s.Read = ReadAuthenticated
	if s.Anyone() != nil {
		t.Error("anyone comes in")
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"is not http":                 {URL: "keystone:5000"},
		"the URL of Keystone is not ": {URL: "https://user:secret@keystone/v3"},
		"plain HTTP to Keystone at keystone:5000 shows passwords": {URL: "http://keystone:5000/v3"},
		`nobody is called "all" who may read elsewhere`:           {URL: "https://keystone", Read: "all"},
		"the name of a push role is empty":                        {URL: "https://keystone", PushRoles: []string{""}},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	for _, o := range []Options{{URL: "http://127.0.0.1:5000"}, {URL: "http://localhost"}, {URL: "http://keystone", Insecure: true}, {URL: "https://keystone/identity/v3", Read: ReadNone}} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := Parse(map[string]any{"url": "https://keystone", "push-roles": []any{"a", "b"}, "read": "none", "insecure": true, "cacert": "f", "domain": "d"})
	if err != nil || !slices.Equal(o.PushRoles, []string{"a", "b"}) || o.URL != "https://keystone" || !o.Insecure || o.CACert != "f" || o.Domain != "d" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := Parse(map[string]any{"push-roles": "a,b"}); err != nil || !slices.Equal(o.PushRoles, []string{"a", "b"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if back, err := Parse(o.Parameters()); err != nil || back.URL != o.URL || !slices.Equal(back.PushRoles, o.PushRoles) {
		t.Errorf("%+v, %v", back, err)
	}
	for want, parameters := range map[string]map[string]any{
		`there is no "push_roles"`:        {"push_roles": "a"},
		"read: true is of the wrong kind": {"read": true},
		"push-roles: [1]":                 {"push-roles": []any{1}},
	} {
		if _, err := Parse(parameters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", parameters, err, want)
		}
	}
}

// With images in Glance, Glance decides what a role may do. Nobody gets to the repositories of others.
func TestMayInGlance(t *testing.T) {
	c := newCloud(t)
	ann, credential := c.login(t, Options{Glance: true}, "ann"), c.login(t, Options{Glance: true}, idCred)
	for _, one := range []struct {
		who   auth.Identity
		want  distauth.Access
		words string
	}{
		{ann, to("push", "two/web"), ""},
		{ann, to("delete", "two/web"), ""},
		{ann, catalog, ""},
		{ann, to("pull", "nobody/web"), "is in no project of ann"},
		{credential, to("push", "two/web"), ""},
		{credential, to("push", "one/web"), "is in no project of"},
	} {
		err := one.who.May(t.Context(), one.want)
		if one.words == "" && err != nil || one.words != "" && (err == nil || !strings.Contains(err.Error(), one.words)) {
			t.Errorf("%s, %v: %v, want %q", one.who.Name(), one.want, err, one.words)
		}
	}
	c.rules = []rule{{ServiceType, http.MethodGet, "/v2/two/**"}}
	ruled := c.login(t, Options{Glance: true}, idCred)
	if err := ruled.May(t.Context(), to("push", "two/web")); err == nil {
		t.Error("access rules are for nothing")
	}
	for want, o := range map[string]Options{
		"cannot read elsewhere": {URL: "https://keystone", Glance: true, Read: ReadAnyone},
		"not for push roles":    {URL: "https://keystone", Glance: true, PushRoles: []string{"member"}},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func TestTokens(t *testing.T) {
	c := newCloud(t)
	ann := c.login(t, Options{Glance: true}, "ann").(*session)
	token, err := ann.Token(t.Context(), "one/web")
	if err != nil || token.ProjectID != idOne || token.Project != "one" || token.Domain != "Default" || token.ID != "of-project" || token.Expires.IsZero() {
		t.Errorf("the token is %+v, %v", token, err)
	}
	if _, err := ann.Token(t.Context(), "nobody/web"); err == nil {
		t.Error("there is a token for a project of others")
	}
	credential := c.login(t, Options{Glance: true}, idCred).(*session)
	if token, err := credential.Token(t.Context(), "two/web"); err != nil || token.ID != "of-credential" {
		t.Errorf("the application credential's token is %+v, %v", token, err)
	}
	asked := c.asked.Load()
	for after, want := range map[string][]string{
		"":          {idOther, idUpper, strings.Repeat("5", 32), "one", "two"},
		"one/zzz":   {"one", "two"},
		"one/\xff":  {"two"},
		"p":         {"two"},
		"two/\xff/": nil,
	} {
		var got []string
		err := ann.Tokens(t.Context(), after, func(project string, token Token) (bool, error) {
			got = append(got, project)
			return true, nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("after %q: %v, %v, want %v", after, got, err, want)
		}
	}
	if n := c.asked.Load() - asked; n > 5 {
		t.Errorf("Keystone was asked %d times for the tokens of 5 projects", n)
	}
}

// A token that is about to end opens nothing any more: the user is asked for again, with the password.
func TestTokenNearItsEnd(t *testing.T) {
	c := newCloud(t)
	alone, inGlance := c.login(t, Options{}, "ann"), c.login(t, Options{Glance: true}, "ann")
	if margin := alone.Expires().Sub(inGlance.Expires()); margin != leastLeft {
		t.Errorf("it counts as old %s before its end, want %s", margin, leastLeft)
	}
}

func FuzzLogin(f *testing.F) {
	for _, typed := range []string{"ann", "Other/ann", "/", "ann/", idOne, "a/b/c", "\x00", "ann\xff"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		l := parseLogin(typed, "Default")
		switch {
		case l.empty():
		case l.credential != "" && (l.credential != typed || l.user != ""):
			t.Errorf("%q is %+v", typed, l)
		case l.credential == "" && typed != l.user && typed != l.domain+"/"+l.user:
			t.Errorf("%q is %+v", typed, l)
		case strings.Contains(l.domain, "/"):
			t.Errorf("%q is %+v", typed, l)
		}
		request := l.tokenRequest("secret")
		scope, err := request.ToTokenV3ScopeMap()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := request.ToTokenV3CreateMap(scope); err != nil && !l.empty() {
			t.Errorf("%q cannot be asked for: %v", typed, err)
		}
	})
}

func FuzzProjectOf(f *testing.F) {
	for _, repository := range []string{"one/web", "web", "/web", "one/", "one//web", idOne + "/a/b"} {
		f.Add(repository)
	}
	f.Fuzz(func(t *testing.T, repository string) {
		project := projectOf(repository)
		if strings.Contains(project, "/") || project != "" && !strings.HasPrefix(repository, project+"/") {
			t.Errorf("%q is in %q", repository, project)
		}
	})
}
