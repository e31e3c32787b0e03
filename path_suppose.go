package main

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-auth-kubernetes/internal/cluster"
	"vault-plugin-auth-kubernetes/internal/explain"
	"vault-plugin-auth-kubernetes/internal/identity"
	"vault-plugin-auth-kubernetes/internal/login"
	"vault-plugin-auth-kubernetes/internal/refusal"
	"vault-plugin-auth-kubernetes/internal/typo"
)

// supposedFields are those of explain that take the place of a token.
var supposedFields = map[string]*framework.FieldSchema{
	"service_account": {
		Type: framework.TypeString,
		Description: `In place of jwt: NAMESPACE/NAME of a service account that is supposed to log in.
Nobody vouches for it; the answer says what was assumed.`,
	},
	"pod": {
		Type:        framework.TypeString,
		Description: "With service_account: name of the pod that the token is supposed to be bound to.",
	},
	"pod_uid": {
		Type:        framework.TypeString,
		Description: "With pod: its uid, for selectors on pod.uid.",
	},
	"node": {
		Type:        framework.TypeString,
		Description: "With pod: name of the node that it is supposed to be on.",
	},
	"node_uid": {
		Type:        framework.TypeString,
		Description: "With node: its uid, for selectors on node.uid.",
	},
	"audiences": {
		Type: framework.TypeCommaStringSlice,
		Description: `With service_account: audiences that the token is supposed to have. Without them
it has those that are asked for.`,
	},
	"labels": {
		Type:        framework.TypeKVPairs,
		Description: "With service_account: its labels, key=value, in place of a look at the cluster.",
	},
	"annotations": {
		Type:        framework.TypeKVPairs,
		Description: "With service_account: its annotations, key=value, in place of a look at the cluster.",
	},
	"namespace_labels": {
		Type:        framework.TypeKVPairs,
		Description: "With service_account: labels of its namespace, key=value, in place of a look at the cluster.",
	},
}

// explainFields are all fields of explain.
func explainFields(ofLogin map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	maps.Copy(ofLogin, supposedFields)
	return ofLogin
}

// supposes tells whether a request is about an account and not about a token, or why it is
// about neither.
func supposes(data *framework.FieldData) (bool, error) {
	account, token := data.Get("service_account") != "", data.Get("jwt") != ""
	switch {
	case account && token:
		return false, refusal.OfRequest("both jwt and service_account were sent", "give jwt, which is explained, or service_account, which is supposed, and not both")
	case account && data.Get("reviewer_jwt") != "":
		return false, refusal.OfRequest("both reviewer_jwt and service_account were sent", "reviewer_jwt goes with jwt, and not with service_account")
	case account:
		return true, nil
	}
	for field := range supposedFields {
		if _, named := data.Raw[field]; named {
			return false, refusal.OfRequest(field+" was sent without service_account", field+" goes with service_account=NAMESPACE/NAME")
		}
	}
	return false, nil
}

// explainSupposed tells what a service account would get, without a token of it.
func (b *backend) explainSupposed(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	question, err := questionOf(data)
	if err != nil {
		return respond(err)
	}
	account := &explain.Account{}
	question.Observer = account
	found, err := login.Suppose(ctx, b.at(req.Storage), question)
	if err == nil {
		err = explain.RefusedByHost(ctx, b.at(req.Storage), &found.Finding, req.MountPoint, question.Role)
	}
	if err != nil && refusal.KindOf(err) == 0 {
		return respond(err) // the host's own, such as of storage
	}
	answer := b.answerTo(req, data, account, err)
	answer.Role, answer.Supposed = question.Role, true
	if found != nil {
		answer.Outcome, answer.Assumed = &found.Finding, found.Assumed
	}
	all := answer.Data()
	if err == nil {
		b.addFound(answer, all, tokenOf(&found.Finding, found.Who, question.Role))
	}
	return &logical.Response{Data: all}, nil
}

func questionOf(data *framework.FieldData) (login.Question, error) {
	text := func(field string) string { return strings.TrimSpace(data.Get(field).(string)) }
	source, err := sourceOf(data)
	if err != nil {
		return login.Question{}, err
	}
	namespace, name := identity.SplitAccount(text("service_account"))
	who, err := identity.Suppose(namespace, name,
		identity.Object{Name: text("pod"), UID: text("pod_uid")}, identity.Object{Name: text("node"), UID: text("node_uid")})
	if err != nil {
		message := err.Error()
		if errors.Is(err, identity.ErrNoAccount) {
			message = "service_account " + message
		}
		return login.Question{}, refusal.OfRequest("no account is supposed", message)
	}
	question := login.Question{Role: data.Get("role").(string), Account: who, Source: source}
	if audiences, named := data.GetOk("audiences"); named {
		question.Audiences = audiences.([]string)
		if reason := typo.Audiences(question.Audiences); reason != "" {
			return login.Question{}, refusal.OfRequest("no audiences are supposed", "audiences: "+reason)
		}
	}
	question.Given = cluster.Given{
		Labels: pairsOf(data, "labels"), Annotations: pairsOf(data, "annotations"), NamespaceLabels: pairsOf(data, "namespace_labels"),
	}
	return question, nil
}

// pairsOf is nil where the request does not name the field.
func pairsOf(data *framework.FieldData, field string) map[string]string {
	if _, named := data.Raw[field]; !named {
		return nil
	}
	return data.Get(field).(map[string]string)
}
