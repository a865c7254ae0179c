/** Sentences about email addresses, links in emails and rejected sign-ins; most visits need none of them. */

import { IdentityError } from './session.js';

export const identityStrings = {
  /** Identity Platform's error codes, in words. */
  errors: /** @type {Record<string, string>} */ ({
    EMAIL_EXISTS: 'There’s already an account with this email. Sign in instead.',
    EMAIL_NOT_FOUND: 'Wrong email or password.',
    INVALID_PASSWORD: 'Wrong email or password.',
    INVALID_LOGIN_CREDENTIALS: 'Wrong email or password.',
    INVALID_EMAIL: 'Enter a valid email address.',
    MISSING_EMAIL: 'Enter your email.',
    MISSING_PASSWORD: 'Enter a password.',
    WEAK_PASSWORD: 'Use a longer password.',
    PASSWORD_DOES_NOT_MEET_REQUIREMENTS: 'This password doesn’t meet the requirements. Try a longer one with different kinds of characters.',
    USER_DISABLED: 'This account is disabled. Ask an administrator why.',
    OPERATION_NOT_ALLOWED: 'This way of signing in isn’t available here. Ask an administrator.',
    PASSWORD_LOGIN_DISABLED: 'Signing in with a password isn’t available here. Ask an administrator.',
    ADMIN_ONLY_OPERATION: 'Only an administrator can create accounts here.',
    TOO_MANY_ATTEMPTS_TRY_LATER: 'Too many attempts. Wait a few minutes, then try again.',
    RESET_PASSWORD_EXCEED_LIMIT: 'Too many attempts. Wait a few minutes, then try again.',
    QUOTA_EXCEEDED: 'Too many people are signing up right now. Try again later.',
    INVALID_OOB_CODE: 'This link was already used, or a newer one replaced it. Request a new link.',
    EXPIRED_OOB_CODE: 'This link has expired. Request a new one.',
    USER_NOT_FOUND: 'This account no longer exists.',
    INVALID_IDP_RESPONSE: 'Signing in with Google didn’t work. Try again.',
    MISSING_OR_INVALID_NONCE: 'Signing in with Google didn’t work. Try again.',
    FEDERATED_USER_ID_ALREADY_LINKED: 'This Google account belongs to another user.',
    NEED_CONFIRMATION: 'There’s already an account with this email. Sign in with its password.',
    GOOGLE_CANCELED: 'You canceled signing in with Google.',
    REFUSED: 'The sign-in service rejected the request. Try again later, or contact an administrator.',
  }),
  offline: 'Can’t reach the sign-in service. Check your connection and try again.',
  /** @param {string} code */
  unknown: (code) => `That didn’t work (${code}). Try again.`,
  /** @param {number} least */
  passwordHelp: (least) => `At least ${least} characters.`,
  /** @param {string} email */
  resetSent: (email) => `If there’s an account for ${email}, a link to reset the password is on its way. Check your spam folder too.`,
  verify: {
    title: 'Verify your email',
    /** @param {string} email */
    text: (email) => `Open the link we emailed to ${email}. Until then, you can’t get welcome credits, API keys or webhooks.`,
    done: 'I’ve verified',
    send: 'Send again',
    /** @param {string} email */
    sent: (email) => `Sent to ${email}. Check your spam folder too.`,
    notYet: 'Not verified yet. Open the link in the email first.',
    verified: 'Your email is verified.',
    mailbox: 'Open the local mailbox',
  },
  action: {
    titles: /** @type {Record<string, string>} */ ({
      verifyEmail: 'Verify your email',
      resetPassword: 'Choose a new password',
      recoverEmail: 'Restore your email',
      verifyAndChangeEmail: 'Change your email',
    }),
    /** @type {Record<string, (email: string, newEmail: string) => string>} */
    texts: {
      verifyEmail: (email) => `Confirm that ${email} is yours and that you created this account. If you didn’t, close this page.`,
      resetPassword: (email) => `For ${email}. You’ll be signed out everywhere.`,
      recoverEmail: (email) => `Set your account’s email back to ${email}. Then reset your password, in case someone else knows it.`,
      verifyAndChangeEmail: (email, newEmail) => `Change your account’s email from ${email} to ${newEmail}. You’ll sign in with it from now on.`,
    },
    buttons: /** @type {Record<string, string>} */ ({
      verifyEmail: 'Verify email',
      resetPassword: 'Save password',
      recoverEmail: 'Restore email',
      verifyAndChangeEmail: 'Change email',
    }),
    done: /** @type {Record<string, string>} */ ({
      verifyEmail: 'Your email is verified.',
      resetPassword: 'Your password is changed. Sign in with the new one.',
      recoverEmail: 'Your email is restored.',
      verifyAndChangeEmail: 'Your email is changed. Sign in again.',
    }),
    newPassword: 'New password',
    loading: 'Checking the link…',
    unsupported: 'This link isn’t supported.',
    toApp: 'Continue to Rushes',
  },
};

/** What the identity service refused, in words. @param {unknown} error */
export function explainIdentity(error) {
  if (!(error instanceof IdentityError)) throw error;
  const { errors, offline, unknown } = identityStrings;
  return error.code === 'OFFLINE' ? offline : (errors[error.code] ?? unknown(error.code));
}
