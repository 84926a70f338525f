package keystone

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	distauth "github.com/distribution/distribution/v3/registry/auth"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ndock/registry/auth"
)

// session is a user with a token of Keystone.
type session struct {
	source   *Source
	name     string
	token    string
	expires  time.Time
	projects []projects.Project // in which he has a role
	rules    []rule             // of an application credential; nil for none, which allows all

	mu     sync.Mutex        // one exchange at a time
	scopes map[string]*scope // by project's id; nil for one that Keystone let him into no more
}

// scope is what the token of a project says.
type scope struct {
	id, name, domain string
	roles            []string
	token            Token
}

// Name implements auth.Identity.
func (s *session) Name() string { return s.name }

// Expires implements auth.Identity.
func (s *session) Expires() time.Time { return s.expires }

// May implements auth.Identity.
func (s *session) May(ctx context.Context, want ...distauth.Access) error {
	if s.rules != nil && !slices.ContainsFunc(s.rules, func(one rule) bool { return one.Service == ServiceType }) {
		return &auth.Denied{Reason: fmt.Sprintf("application credential %s has access rules, and none of them is for the service %s: it may not use the registry", s.name, ServiceType)}
	}
	if missing := s.missesGlance("pull"); missing != "" {
		return s.noGlance(missing)
	}
	if len(want) == 0 && len(s.projects) == 0 && !s.readsAll() {
		return &auth.Denied{Reason: fmt.Sprintf("%s is in no project: there is nothing to push or pull", s.name)}
	}
	for _, one := range want {
		if err := s.may(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) readsAll() bool { return s.source.Read != ReadNone }

func (s *session) may(ctx context.Context, want distauth.Access) error {
	switch {
	case s.rules != nil && !slices.ContainsFunc(s.rules, func(one rule) bool { return one.allows(want) }):
		return &auth.Denied{Reason: fmt.Sprintf("no access rule of application credential %s lets it %s %s", s.name, want.Action, want.Name)}
	case s.missesGlance(want.Action) != "":
		return s.noGlance(s.missesGlance(want.Action))
	case want.Type == "registry" && want.Name == "catalog" && (s.readsAll() || s.source.Glance):
		return nil
	case want.Type == "registry":
		return &auth.Denied{Reason: "the catalog names the repositories of all projects, and this registry shows each project its own only"}
	case want.Action == "pull" && s.readsAll():
		return nil
	}
	in, err := s.scope(ctx, want.Name)
	if err != nil || want.Action == "pull" || s.source.Glance {
		return err
	}
	if !slices.ContainsFunc(in.roles, func(role string) bool { return slices.Contains(s.source.PushRoles, role) }) {
		return &auth.Denied{Reason: fmt.Sprintf("to push or delete in project %q takes the role %s there; %s has %s",
			in.name, strings.Join(s.source.PushRoles, " or "), s.name, strings.Join(in.roles, ", "))}
	}
	return nil
}

// scope returns the project of a repository, if the user has a role there.
func (s *session) scope(ctx context.Context, repository string) (*scope, error) {
	project := projectOf(repository)
	for _, one := range s.projects {
		byID := idPattern.MatchString(project)
		if byID && one.ID != project || !byID && !strings.EqualFold(one.Name, project) {
			continue
		}
		in, err := s.projectToken(ctx, one.ID)
		switch {
		case err != nil:
			return nil, err
		case in == nil:
		case byID || in.domain == s.source.Domain && in.name == project:
			s.source.recordName(in)
			return in, nil
		}
	}
	return nil, s.explainForeign(repository, project)
}

// recordName reports the name of a project, by which its repositories may be called besides its id.
func (s *Source) recordName(in *scope) {
	if s.project != nil && in.domain == s.Domain && in.name == strings.ToLower(in.name) && !idPattern.MatchString(in.name) {
		s.project(in.id, in.name)
	}
}

// explainForeign tells a user who means a project of theirs how to write it. Of other projects it tells nothing.
func (s *session) explainForeign(repository, project string) error {
	for _, one := range s.projects {
		if strings.EqualFold(one.Name, project) {
			return &auth.Denied{Reason: fmt.Sprintf("%q is not the name of one project for sure; write its id: %s/%s",
				project, one.ID, strings.TrimPrefix(repository, project+"/"))}
		}
	}
	return &auth.Denied{Reason: fmt.Sprintf("repository %q is in no project of %s: PROJECT/NAME begins with a project's id or name", repository, s.name)}
}

// projectToken asks for the roles in a project, once.
func (s *session) projectToken(ctx context.Context, project string) (*scope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.scopes[project]; ok {
		return known, nil
	}
	result := tokens.Create(ctx, s.source.client(""), &tokens.AuthOptions{TokenID: s.token, Scope: tokens.Scope{ProjectID: project}})
	if gophercloud.ResponseCodeIs(result.Err, http.StatusUnauthorized) { // it was disabled meanwhile, or he was
		s.scopes[project] = nil
		return nil, nil
	}
	in, err := readScope(result)
	if err != nil {
		return nil, s.source.explain("the roles of "+s.name+" in project "+project, err)
	}
	s.scopes[project] = in
	return in, nil
}

// ServiceType is the name of the registry in the access rules of application credentials.
const ServiceType = "container-registry"

// rule is an access rule of an application credential.
type rule struct{ Service, Method, Path string }

// methods are the names of the registry's actions in access rules.
var methods = map[string]string{"pull": http.MethodGet, "push": http.MethodPut, "delete": http.MethodDelete, "*": http.MethodGet}

// glanceType is the name of Glance in access rules, and glanceMethods are those of its requests that an action is made of.
const glanceType = "image"

var glanceMethods = map[string][]string{
	"pull": {http.MethodGet}, "*": {http.MethodGet},
	"push":   {http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
	"delete": {http.MethodGet, http.MethodPatch, http.MethodDelete},
}

// missesGlance returns a method that no access rule allows of Glance, and that an action takes; "" where there is none. Glance
// looks at the paths: to who has a token that no rule lets in, it answers what it says to one that has ended.
func (s *session) missesGlance(action string) string {
	if s.rules == nil || !s.source.Glance {
		return ""
	}
	for _, method := range glanceMethods[action] {
		if !slices.ContainsFunc(s.rules, func(one rule) bool { return one.Service == glanceType && one.Method == method }) {
			return method
		}
	}
	return ""
}

func (s *session) noGlance(method string) error {
	return &auth.Denied{Reason: fmt.Sprintf("application credential %s has access rules, and none of them lets it %s at Glance (service %s): to pull takes "+
		"GET /v2/images**, to push and to delete also POST /v2/images, PATCH and DELETE /v2/images/*, and PUT /v2/images/*/file", s.name, method, glanceType)}
}

// allows returns whether the rule is for the registry, and for all that is below the requested repository.
func (r rule) allows(want distauth.Access) bool {
	within := "/v2/" + want.Name + "/"
	if want.Type == "registry" {
		within = "/v2/_catalog"
	}
	below, deep := strings.CutSuffix(r.Path, "**")
	return r.Service == ServiceType && r.Method != "" && r.Method == methods[want.Action] &&
		(r.Path == within || deep && strings.HasSuffix(below, "/") && strings.HasPrefix(within, below))
}

// readRules returns the access rules of the application credential of a token: nil for no rules; an empty list allows
// nothing.
func readRules(result tokens.CreateResult) ([]rule, error) {
	var token struct {
		Credential struct {
			Rules []rule `json:"access_rules"`
		} `json:"application_credential"`
	}
	err := result.ExtractInto(&token)
	return token.Credential.Rules, err
}

// readScope returns the project of a token; nil for none.
func readScope(result tokens.CreateResult) (*scope, error) {
	project, err := result.ExtractProject()
	if err != nil || project == nil {
		return nil, err
	}
	roles, err := result.ExtractRoles()
	if err != nil {
		return nil, err
	}
	in := &scope{id: project.ID, name: project.Name, domain: project.Domain.Name}
	if in.token, err = readToken(result, project); err != nil {
		return nil, err
	}
	for _, role := range roles {
		in.roles = append(in.roles, role.Name)
	}
	return in, nil
}

// anonymousUser reads without a login.
type anonymousUser struct{}

func (anonymousUser) Name() string { return "" }

func (anonymousUser) Expires() time.Time { return time.Time{} }

func (anonymousUser) May(_ context.Context, want ...distauth.Access) error {
	for _, one := range want {
		if one.Type != "registry" && one.Action != "pull" {
			return auth.ErrNoLogin
		}
	}
	return nil
}
