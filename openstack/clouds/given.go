package clouds

import (
	"errors"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Given are settings of the command line, by their names in clouds.yaml. They count before all others.
type Given map[string]string

// variables returns the environment with the settings in it, as an openrc has them.
func (g Given) variables(env func(string) string) func(string) string {
	return func(variable string) string {
		name, ok := strings.CutPrefix(variable, "OS_")
		if !ok {
			return env(variable)
		}
		return g.over(func(string) value { return value{text: env(variable)} })(strings.ToLower(name)).text
	}
}

// over returns what is given, and else the settings, but for those that would say something else of the same.
func (g Given) over(others settings) settings {
	return func(name string) value {
		if text := g.text(name); text != "" {
			return value{text: text, given: true}
		}
		for given, hidden := range instead {
			if g[given] != "" && strings.Contains(" "+hidden+" ", " "+name+" ") {
				return value{}
			}
		}
		return others(name)
	}
}

// instead is what a given setting stands in place of, where that would count before it.
var instead = map[string]string{
	"project_name":                "project_id tenant_id trust_id",
	"project_id":                  "trust_id",
	"system_scope":                "project_id project_name tenant_id tenant_name trust_id domain_id domain_name",
	"username":                    "user_id",
	"user_domain_name":            "user_domain_id",
	"project_domain_name":         "project_domain_id",
	"application_credential_name": "application_credential_id",
}

// userSettings and scopeSettings are what some ways to log in have no use for.
var (
	userSettings  = []string{"username", "user_id", "user_domain_name", "user_domain_id"}
	scopeSettings = []string{"project_name", "project_id", "project_domain_name", "project_domain_id", "system_scope"}
)

// unused is an error where a user or a project is given that the login would not be for: what comes next would be done in
// another project than was said.
func (g Given) unused(auth gophercloud.AuthOptions) error {
	switch {
	case auth.ApplicationCredentialID != "":
		return g.refuse("an application credential has a user and a project of its own", userSettings, scopeSettings)
	case auth.ApplicationCredentialName != "":
		return g.refuse("an application credential has a project of its own", scopeSettings)
	case auth.TokenID != "":
		return g.refuse("a token has a user of its own", userSettings)
	}
	return nil
}

func (g Given) refuse(reason string, settings ...[]string) error {
	for _, name := range slices.Concat(settings...) {
		if g[name] != "" {
			return &Error{
				Op: "use --os-" + strings.ReplaceAll(name, "_", "-"), Err: errors.New("it would count for nothing: " + reason),
				hint: "leave it out, or name another cloud, or give a password as well",
			}
		}
	}
	return nil
}

// text is a given setting. A given secret says how to log in, whatever type stands elsewhere.
func (g Given) text(name string) string {
	if name != "auth_type" || g[name] != "" {
		return g[name]
	}
	switch {
	case g["application_credential_secret"] != "":
		return "v3applicationcredential"
	case g["token"] != "":
		return "token"
	case g["passcode"] != "" && g["password"] == "":
		return "v3totp"
	case g["password"] != "":
		return "password"
	}
	return ""
}
