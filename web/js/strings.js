/** Every sentence that the page says. Elements of index.html name theirs in data-t attributes. */

/** @param {number} n @param {string} one @param {string} many */
const plural = (n, one, many) => (n === 1 ? one : many);

export const strings = {
  app: {
    name: 'Rushes',
    skip: 'Skip to the content',
    studio: 'Studio',
    account: 'Account',
    signOut: 'Sign out',
    nav: 'Main',
    close: 'Close',
    /** @param {number} unfinished */
    title: (unfinished) => (unfinished ? `(${unfinished}) Rushes` : 'Rushes'),
    offline: 'The service does not answer. What you started goes on without this page; trying again…',
    failedToStart: 'The studio could not start.',
    tryAgain: 'Try again',
  },
  signIn: {
    headline: 'Describe a shot. Watch it the same day.',
    lead: 'Rushes turns a few sentences into footage with sound: you see what it costs before you send it, and what fails is paid back.',
    signInTitle: 'Sign in',
    signUpTitle: 'Create your account',
    email: 'E-mail',
    password: 'Password',
    passwordHelp: 'At least 6 characters.',
    signIn: 'Sign in',
    signUp: 'Create account',
    toSignUp: 'New here? Create an account',
    toSignIn: 'Have an account? Sign in',
    ended: 'Your session has ended. Sign in to go on; your draft is still here.',
    /** Identity Platform's error codes, in words. */
    errors: /** @type {Record<string, string>} */ ({
      EMAIL_EXISTS: 'There is already an account with this e-mail. Sign in instead.',
      EMAIL_NOT_FOUND: 'The e-mail or the password is not right.',
      INVALID_PASSWORD: 'The e-mail or the password is not right.',
      INVALID_LOGIN_CREDENTIALS: 'The e-mail or the password is not right.',
      INVALID_EMAIL: 'This is not a complete e-mail address.',
      MISSING_EMAIL: 'Enter your e-mail.',
      MISSING_PASSWORD: 'Enter a password.',
      WEAK_PASSWORD: 'The password is too short: use at least 6 characters.',
      USER_DISABLED: 'This account is disabled. Ask an administrator why.',
      OPERATION_NOT_ALLOWED: 'Signing up with a password is switched off here. Ask an administrator.',
      TOO_MANY_ATTEMPTS_TRY_LATER: 'Too many attempts. Wait a few minutes, then try again.',
    }),
    offline: 'The sign-in service does not answer. Check your connection and try again.',
    /** @param {string} code */
    unknown: (code) => `Signing in did not work (${code}). Try again.`,
  },
  compose: {
    title: 'New video',
    prompt: 'Prompt',
    placeholder: 'Describe the shot: who or what, where, the light, how the camera moves, what one hears.',
    shortcut: 'Ctrl + Enter sends',
    shortcutMac: '⌘ + Enter sends',
    /** @param {string} used @param {string} limit */
    tokens: (used, limit) => `${used} / ${limit} tokens`,
    model: 'Model',
    /** @param {string} name @param {string} credits */
    modelOption: (name, credits) => `${name} · ${credits} credits/s`,
    orientation: 'Orientation',
    orientations: { '16:9': 'Landscape', '9:16': 'Portrait' },
    resolution: 'Resolution',
    seconds: 'Length',
    /** @param {number} seconds */
    secondsOption: (seconds) => `${seconds} s`,
    sound: 'Sound',
    soundHelp: 'Speech, effects and music that fit the picture',
    more: 'More settings',
    count: 'Videos of this prompt',
    negative: 'Leave out',
    negativePlaceholder: 'What should not appear, such as text or crowds',
    seed: 'Seed',
    seedPlaceholder: 'Any',
    seedHelp: 'The same seed and prompt give a similar video.',
    cost: 'Cost',
    /** @param {string} credits @param {number} n */
    credits: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')}`,
    usual: 'Usual time',
    balanceAfter: 'Balance after',
    send: 'Generate',
    sending: 'Sending…',
    sent: 'On its way',
    retrying: 'No answer yet; asking again. You are never charged twice.',
    reasons: {
      /** @param {string} model @param {string} what */
      notOffered: (model, what) => `${model} does not offer ${what}.`,
      /** @param {string} resolution @param {string} lengths */
      highResolution: (resolution, lengths) => `At ${resolution} the length is ${lengths}.`,
      /** @param {string} model */
      alwaysSound: (model) => `${model} always makes sound.`,
      /** @param {string} model */
      noNegative: (model) => `${model} takes no list of what to leave out. Say it in the prompt.`,
      /** @param {string} model */
      noSeed: (model) => `${model} takes no seed.`,
      /** @param {string} orientation */
      orientation: (orientation) => `${orientation.toLowerCase()} video`,
    },
    /** Why the service would not take the request now, by its code. */
    refusals: /** @type {Record<string, string>} */ ({
      INSUFFICIENT_CREDITS: 'Your balance does not cover this. Choose a shorter video, or ask for credits.',
      TOO_MANY_ACTIVE_JOBS: 'As many videos are in the making as you may have at once. Wait for one, or cancel one.',
      GENERATION_DISABLED: 'Generation is switched off at the moment. Your draft is kept.',
      ACCOUNT_DISABLED: 'This account is disabled. Ask an administrator why.',
    }),
    problems: {
      empty: 'Write a prompt first.',
      /** @param {string} over */
      tooLong: (over) => `The prompt is ${over} tokens too long. Shorten it to send it.`,
      seed: 'The seed is a whole number from 0 to 4,294,967,295.',
    },
  },
  library: {
    title: 'Your videos',
    loading: 'Loading your videos',
    more: 'Show more',
    failed: 'Your videos could not be loaded.',
    /** @param {number} n */
    underWay: (n) => (n ? `${n} in the making` : ''),
    emptyTitle: 'Nothing shot yet',
    emptyLead: 'Write a prompt, look at its cost, and send it. Most videos are here in a minute or two, and you may close the page meanwhile. These three are a good start:',
    use: 'Use this prompt',
    starters: [
      {
        title: 'Paper boat',
        prompt:
          'A small paper boat drifts down a rain gutter at night, neon signs mirrored in the water. Low tracking shot at water level, shallow depth of field. Soft rain and distant traffic.',
      },
      {
        title: 'First light',
        prompt:
          'Slow aerial shot over a mist-filled valley of pines at sunrise, long golden shadows, a single bird crossing the frame. Calm wind and a far-off church bell.',
      },
      {
        title: 'The baker',
        prompt:
          'Close-up of a baker’s hands dusting flour over dough in warm morning light, fine particles floating in the air, handheld camera. Gentle kitchen sounds and humming.',
      },
    ],
  },
  card: {
    /** @param {string} prompt */
    play: (prompt) => `Play: ${prompt}`,
    /** @param {string} prompt */
    details: (prompt) => `Details: ${prompt}`,
    cancel: 'Cancel',
    reuse: 'Use this prompt again',
    remove: 'Delete',
    failed: 'Not made',
    canceled: 'Canceled',
    expired: 'No longer kept',
    /** @param {string} credits @param {number} n */
    refunded: (credits, n) => `${credits} ${plural(n, 'credit', 'credits')} returned`,
    noRefund: 'Nothing was returned',
    progress: 'Progress',
    stages: {
      waiting: 'Waiting for a free place',
      queued: 'In line for the model',
      starting: 'Handing it to the model',
      uncertain: 'Checking what became of it',
      generating: 'Generating',
      storing: 'Saving the video',
      completed: 'Ready',
      failed: 'Not made',
      canceled: 'Canceled',
    },
    /** @param {string} elapsed @param {string} expected */
    times: (elapsed, expected) => `${elapsed} · usually ${expected}`,
    /** @param {string} elapsed */
    late: (elapsed) => `${elapsed} · longer than usual`,
    /** @param {number} n */
    files: (n) => `${n} videos`,
    cancelTitle: 'Cancel this video?',
    /** @param {string} credits */
    cancelText: (credits) => `It cost ${credits}. You are told at once what comes back.`,
    cancelYes: 'Cancel the video',
    cancelNo: 'Keep it going',
    removeTitle: 'Delete this video?',
    removeText: 'The video and its prompt go for good. What it cost stays in your ledger.',
    removeYes: 'Delete',
    removeNo: 'Keep it',
    removed: 'Deleted.',
    /** @param {string} prompt */
    ready: (prompt) => `Ready: ${prompt}`,
    /** @param {string} message */
    notMade: (message) => `Not made: ${message}`,
  },
  player: {
    label: 'Video',
    loop: 'Loop',
    download: 'Download',
    downloading: 'Downloading…',
    reuse: 'Use prompt',
    remove: 'Delete',
    which: 'Which video',
    failed: 'The video does not load.',
    model: 'Model',
    length: 'Length',
    size: 'Size',
    sound: 'Sound',
    soundOn: 'With sound',
    soundOff: 'Silent',
    seed: 'Seed',
    negative: 'Left out',
    made: 'Made',
    took: 'Took',
    cost: 'Cost',
    returned: 'Returned',
    keptUntil: 'Kept until',
    file: 'File',
    reason: 'The model says',
    suggestion: 'What to do',
    underWay: 'Still in the making. It appears here when it is ready.',
    missing: 'This video is not here: it was deleted, or it belongs to another account.',
  },
  account: {
    title: 'Account',
    balance: 'Balance',
    unit: 'credits',
    /** @param {string} balance */
    balanceLabel: (balance) => `Balance: ${balance} credits. Open the account.`,
    email: 'E-mail',
    plan: 'Plan',
    active: 'In the making',
    /** @param {number} active @param {number} limit */
    activeOf: (active, limit) => `${active} of ${limit} at once`,
    since: 'Since',
    ledger: 'Ledger',
    ledgerLead: 'Every credit that came or went, newest first.',
    empty: 'Nothing has come or gone yet.',
    failed: 'The ledger could not be loaded.',
    date: 'Date',
    what: 'What',
    amount: 'Credits',
    after: 'Balance',
    types: { signup: 'Welcome credits', grant: 'Credits added', charge: 'Video', refund: 'Returned' },
    openVideo: 'Open the video',
  },
  problems: {
    offline: { message: 'The service does not answer.', action: 'Check your connection and try again.' },
    unreadable: { message: 'The service gave an answer that cannot be read.', action: 'Try again in a moment.' },
    unknownOutcome: {
      message: 'No answer came, so it is not known whether your request arrived.',
      action: 'Press Generate again: the same request is never made or charged twice.',
    },
    /** @param {string} required @param {string} available @param {string} deficit */
    credits: (required, available, deficit) => `This costs ${required} credits and you have ${available}: ${deficit} too few.`,
    /** @param {string} seconds */
    wait: (seconds) => `Try again in ${seconds}.`,
    /** @param {string} id */
    requestId: (id) => `Request ${id}`,
  },
  time: {
    now: 'just now',
  },
};
