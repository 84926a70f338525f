package keystone

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// idPattern matches the ids that Keystone makes for projects and application credentials.
var idPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// login is what a client gives as its user name.
type login struct {
	user, domain string
	credential   string // an application credential's id, instead
}

// parseLogin reads NAME, DOMAIN/NAME, or the id of an application credential. A user whose name looks like an id, or
// has a slash in it, can write the domain, too.
func parseLogin(typed, domain string) login {
	if idPattern.MatchString(typed) {
		return login{credential: typed}
	}
	if other, name, ok := strings.Cut(typed, "/"); ok {
		return login{user: name, domain: other}
	}
	return login{user: typed, domain: domain}
}

// empty returns whether the login names nobody.
func (l login) empty() bool { return l.credential == "" && (l.user == "" || l.domain == "") }

// isUnknown returns whether Keystone says that there is no such application credential. It says so of no user; and a
// server that is no Keystone, where the URL is wrong, sends no request id.
func (l login) isUnknown(err error) bool {
	var answer gophercloud.ErrUnexpectedResponseCode
	return l.credential != "" && errors.As(err, &answer) && answer.Actual == http.StatusNotFound &&
		answer.ResponseHeader.Get("X-Openstack-Request-Id") != ""
}

// tokenRequest returns what Keystone is asked for a token with.
func (l login) tokenRequest(password string) tokens.AuthOptionsBuilder {
	if l.credential != "" {
		return &tokens.AuthOptions{ApplicationCredentialID: l.credential, ApplicationCredentialSecret: password}
	}
	return unscoped{&tokens.AuthOptions{Username: l.user, DomainName: l.domain, Password: password}}
}

// unscoped asks for a token without a project, also for a user with a default project: not all Keystones exchange the
// token of one project for that of another.
type unscoped struct{ *tokens.AuthOptions }

// ToTokenV3ScopeMap implements tokens.AuthOptionsBuilder.
func (unscoped) ToTokenV3ScopeMap() (map[string]any, error) {
	return map[string]any{"unscoped": map[string]any{}}, nil
}

// projectOf returns the project in a repository's name, PROJECT/NAME; empty for none.
func projectOf(repository string) string {
	project, rest, _ := strings.Cut(repository, "/")
	if rest == "" {
		return ""
	}
	return project
}
